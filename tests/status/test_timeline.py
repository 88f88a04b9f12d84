"""The messages of a job and its attempts."""

from typing import Any

from recodex_monitor.status import timeline
from recodex_monitor.status.timeline import ATTEMPTS
from tests.status.support import WALL, InspectionTestCase

ATTEMPT = ("DOWNLOADED", "STARTED", "TASK a COMPLETED")


class AttemptTests(InspectionTestCase):
    """The attempts of a job."""

    def attempts(self) -> list[dict[str, Any]]:
        """As they are told."""
        made: list[dict[str, Any]] = self.inspection.channel("job")["attempts_made"]
        return made

    def test_each(self) -> None:
        """Each attempt has its times, its tasks and how it ended."""
        self.say("job", *ATTEMPT, "ABORTED")
        self.clock.advance(5)
        self.say("job", *ATTEMPT, "TASK b FAILED")
        first, second = self.attempts()
        self.assertEqual((first["number"], first["end"], first["messages"]), (1, "aborted", 4))
        self.assertEqual((first["began"], second["began"]), (WALL, WALL + 5))
        self.assertEqual((second["number"], second["end"]), (2, None))
        self.assertEqual(second["tasks"], {"completed": 1, "failed": 1, "skipped": 0})
        told = [one["attempt"] for one in self.inspection.channel("job")["timeline"]]
        self.assertEqual(told, [1] * 4 + [2] * 4)

    def test_ends(self) -> None:
        """A job that FAILED and then ended has failed; one without an end was given up."""
        self.say("job", *ATTEMPT, "FAILED", "FINISHED")
        self.assertEqual([one["end"] for one in self.attempts()], ["failed"])

    def test_given_up(self) -> None:
        """No attempt is told of that did not begin: the last one is that which was cut short."""
        self.say("job", *ATTEMPT, "ABORTED", *ATTEMPT, "ABORTED", "FAILED", "FINISHED")
        told = self.inspection.channel("job")
        self.assertEqual([one["end"] for one in told["attempts_made"]], ["aborted", "failed"])
        self.assertEqual((told["attempts"], told["tasks"]["completed"]), (2, 1))

    def test_without_aborted(self) -> None:
        """An attempt that another follows without a word has been given up."""
        self.say("job", *ATTEMPT, *ATTEMPT)
        self.assertEqual([one["end"] for one in self.attempts()], ["given up", None])

    def test_bounded(self) -> None:
        """Of many attempts the last ones are told."""
        for _ in range(ATTEMPTS + 5):
            self.say("job", "STARTED", "ABORTED")
        numbers = [one["number"] for one in self.attempts()]
        self.assertEqual(numbers, [*range(6, ATTEMPTS + 6)])

    def test_long_log(self) -> None:
        """Of a very long log the attempts are counted as far as the list of jobs has counted."""
        self.patch(timeline, "TALLIED", 1000)
        for _ in range(10):
            self.say("job", *ATTEMPT, *["TASK a COMPLETED"] * 100, "ABORTED")
        told = self.inspection.channel("job")
        self.assertEqual((told["attempts"], told["attempts_made"][-1]["number"]), (11, 10))

    def test_none(self) -> None:
        """A job without messages has no attempts."""
        self.assertEqual(self.attempts(), [])
