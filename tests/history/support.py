"""A hub with its journal, without a network, with a clock that the test advances."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import End
from recodex_monitor.channels.hub import Hub
from recodex_monitor.history.journal import Journal
from tests.support.messages import message
from tests.support.settings import live

RETENTION, GRACE, IDLE = 30, 10, 60

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""A folder in memory, if there is one, for tests that write often."""

State = dict[str, tuple[str, bytes, int, End | None]]
"""By channel id: the channel's epoch, log, number of messages, and end."""


def folder(case: SynchronousTestCase) -> Path:
    """Make a folder for one monitor; folders beside it are removed with it after the test."""
    place = tempfile.TemporaryDirectory(dir=MEMORY)
    case.addCleanup(place.cleanup)
    made = Path(place.name) / "first"
    made.mkdir()
    return made


def state(channels: Any) -> State:
    """The state of those channels that have messages."""
    kept = [channel for channel in channels if channel.log]
    return {one.id: (one.epoch, bytes(one.log), one.count, one.end) for one in kept}


class Monitor:
    """A hub and its journal, with the test's clock; what a thread would do is done at once."""

    def __init__(self, folder: Path, clock: Clock, **bounds: Any) -> None:
        self.folder = folder
        self.clock = clock
        self.wall = 0.0
        self.boot = "boot"
        self.journal = Journal(
            str(folder / "history.db"),
            clock,
            lambda work, then: then(work()),
            lambda: self.hub.settings.limits.max_tombstones,
            now=self.now,
        )
        times = {"retention": RETENTION, "failed_grace": GRACE, "idle_timeout": IDLE}
        self.hub = Hub(clock, live(**{**times, **bounds}), self.journal)
        self.bounds = bounds
        self.others: list[Monitor] = []

    def now(self) -> str:
        """Now, by the test's clock, as ``timestamps.moment`` tells it."""
        seconds = self.clock.seconds()
        return f"{self.wall + seconds} {seconds} {self.boot}"

    def start(self) -> "Monitor":
        """Open the file and restore what is in it."""
        self.hub.restore(self.journal.open(), self.journal.tombstones)
        return self

    def publish(self, channel_id: str, *commands: str) -> None:
        """Publish messages of one channel in one turn."""
        self.hub.publish([message(channel_id, command) for command in commands])

    def let_pass(self, seconds: int) -> None:
        """Advance the clock second by second, with what is done every second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.hub.expire()
            self.journal.tick()

    def after_kill(self) -> "Monitor":
        """A monitor, not started, with the files that this one would leave if killed now."""
        folder = Path(tempfile.mkdtemp(dir=self.folder.parent))
        for file in self.folder.glob("history.db*"):
            # What SQLite keeps there is for processes that live.
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        other = Monitor(folder, self.clock, **self.bounds)
        other.wall, other.boot = self.wall, self.boot
        self.others.append(other)
        return other

    def close(self) -> None:
        """Close its file and those of the monitors made from it."""
        for one in (*self.others, self):
            one.journal.close()
        for other in self.others:
            other.close()

    def state(self) -> State:
        """The state of its channels."""
        return state(self.hub.channels.values())


class JournalTestCase(SynchronousTestCase):
    """A monitor in a folder of its own."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.monitor = Monitor(folder(self), self.clock).start()
        self.addCleanup(self.monitor.close)

    def killed(self) -> Monitor:
        """The monitor that starts after a kill."""
        return self.monitor.after_kill().start()
