"""What to tell the student."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.status.advice import advice
from recodex_monitor.status.diagnosis import Broker, Forgotten, Job

FINE = Broker(peers=1, seen=1, messages=9)
MESSAGES: dict[str, Any] = {"messages": 2, "last_ago": 1}


class AdviceTests(SynchronousTestCase):
    """A sentence for each state of a job."""

    def test_each(self) -> None:
        """It fits the state, and says what to do."""
        table: list[tuple[Job, str]] = [
            (Job(), "either the results are there"),
            (Job(followers=1), "waits for its turn"),
            (Job(**MESSAGES), "is being evaluated. If the page shows no progress, reload"),
            (Job(messages=2, last_ago=600), "its present task has taken 10 min"),
            (Job(messages=2, last_ago=None), "is being evaluated"),
            (Job(failed_ago=1, **MESSAGES), "Wait some seconds"),
            (Job(end="finished", outcome="finished", **MESSAGES), "has been evaluated"),
            (Job(end="finished", outcome="failed", **MESSAGES), "has failed"),
            (Job(end="failed", outcome="failed", **MESSAGES), "was given up"),
            (Job(end="expired", outcome="expired", **MESSAGES), "Submit it again"),
            (Job(forgotten=Forgotten(9, "finished", 300)), "has been evaluated"),
            (Job(forgotten=Forgotten(9, "failed", 300, end="finished")), "has failed"),
            (Job(forgotten=Forgotten(9, "failed", 300, end="failed")), "was given up"),
            (Job(forgotten=Forgotten(9)), "either the results are there"),
        ]
        for job, text in table:
            self.assertIn(text, advice(job, FINE), job)

    def test_broker_away(self) -> None:
        """Without a broker only the display is disturbed; a job that has ended is not affected."""
        self.assertIn("the evaluation is not", advice(Job(**MESSAGES), Broker()))
        self.assertIn("has been evaluated", advice(Job(end="finished"), Broker()))
