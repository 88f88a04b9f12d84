"""Restarts under load: jobs run all the time, and followers of every kind resume."""

import contextlib
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.service import Service, serving
from tests.faults.table import Run, case
from tests.integration.load import Follower, Load, OverEvents, OverPolls, OverWebSocket, as_object

TOGETHER = 12
"""Jobs of 40 messages that run at a time."""

PAUSE = 0.0025
"""Seconds between two messages, so that the broker has to keep fewer than it can."""


class Followed:
    """A broker that sends jobs all the time; each job has a follower of every kind."""

    def __init__(self, service: Service) -> None:
        self.load = Load(service.broker, together=TOGETHER, pause=PAUSE)
        self.followers: list[Follower] = []
        self._service = service
        self._stopping = threading.Event()
        self._playing = threading.Thread(target=self.load.play, args=(self._follow, self._stopping))
        self._playing.start()

    def _follow(self, channel: str) -> None:
        for kind in (OverWebSocket, OverEvents, OverPolls):
            follower = kind(self._service, channel)
            follower.start()
            self.followers.append(follower)

    def stop(self) -> None:
        """Begin no more jobs, and wait until the running ones have been sent."""
        self._stopping.set()
        self._playing.join()

    def require_ended(self, run: Run) -> None:
        """Let all jobs end, also those whose FINISHED was lost with a monitor."""
        self.stop()
        for channel in self.load.sent:
            self.load.send(channel, [b"FINISHED"])
        for one in self.followers:
            one.join(30)
            run.require(one.ended, f"{one.channel} has not ended for {type(one).__name__}")

    def missing(self, run: Run) -> int:
        """How many messages no follower got; requires that none came twice or out of order."""
        missing = 0
        for channel, sent in self.load.sent.items():
            due = [as_object(one) for one in sent]
            lists = [one.got for one in self.followers if one.channel == channel]
            run.require(lists == [lists[0]] * 3, f"followers of {channel} got different messages")
            rest = iter(due)
            run.require(all(one in rest for one in lists[0]), f"{channel} is not in order")
            missing += len(due) - len(lists[0])
        return missing


@contextlib.contextmanager
def followed(service: Service) -> Iterator[Followed]:
    """Jobs and followers meanwhile."""
    made = Followed(service)
    try:
        yield made
    finally:
        made.stop()
        made.load.close()


def restart_often(run: Run, number: signal.Signals) -> int:
    """End the monitor by a signal at random moments; returns how many messages are missing."""
    chance = random.Random(4567)
    rounds = run.pick(25, 6)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(history={"file": str(Path(folder) / "history.db")}) as service,
        followed(service) as jobs,
    ):
        for _ in range(rounds):
            time.sleep(chance.uniform(0.05, 0.5))
            service.stop(number)
            service.start()
        jobs.require_ended(run)
        missing, sent = jobs.missing(run), sum(map(len, jobs.load.sent.values()))
        gaps = sum(one.gaps for one in jobs.followers)
        run.require(not gaps, f"{gaps} followers could not resume")
        service.check(run)
    run.amount = f"{rounds} times in {sent} messages, {len(jobs.followers)} followers of 3 kinds"
    run.service = "every follower resumed; none got a message twice or out of order"
    return missing


@case("stopped-often", "SIGTERM again and again under load, with a history file")
def stopped_often(run: Run) -> None:
    """Every follower gets every message once."""
    missing = restart_often(run, signal.SIGTERM)
    run.require(not missing, f"{missing} messages were lost")


@case("killed-often", "SIGKILL again and again under load, with a history file")
def killed_often(run: Run) -> None:
    """Only what the monitor had not read is lost, and nothing that any follower has seen."""
    missing = restart_often(run, signal.SIGKILL)
    run.lost = f"{missing} messages, received and not yet read" if missing else "nothing"
