"""A monitor that is stopped or killed again and again, under load, with clients that resume."""

import random
import signal
import tempfile
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.load import Follower, Load, OverEvents, OverPolls, OverWebSocket, as_object
from tests.integration.support import Monitor

RESTARTS = 25  # of each kind
TOGETHER = 12
PAUSE = 0.0025  # between two messages of the broker, so that it keeps less than it can


class RestartTests(SynchronousTestCase):
    """Jobs of 40 messages run all the time, and each has a client of every kind."""

    def setUp(self) -> None:
        """Start a monitor with a history, the broker, and a client of each kind for each job."""
        random.seed(4567)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        history = {"file": str(Path(folder.name) / "history.db")}
        self.monitor = Monitor(folder.name, history=history)
        self.monitor.start()
        self.addCleanup(self.monitor.stop)
        self.load = Load(self.monitor.broker, together=TOGETHER, pause=PAUSE)
        self.addCleanup(self.load.close)
        self.followers: list[Follower] = []
        self.stopping = threading.Event()
        self.playing = threading.Thread(target=self.load.play, args=(self.follow, self.stopping))
        self.playing.start()
        self.addCleanup(self.playing.join)
        self.addCleanup(self.stopping.set)

    def follow(self, channel: str) -> None:
        """Let a client of each kind follow a channel."""
        for kind in (OverWebSocket, OverEvents, OverPolls):
            follower = kind(self.monitor, channel)
            follower.start()
            self.followers.append(follower)

    def restart(self, number: int) -> None:
        """Stop the monitor by this signal at a random moment, and start it again."""
        time.sleep(random.uniform(0.05, 0.5))
        self.monitor.stop(number)
        self.monitor.start()

    def to_the_end(self) -> None:
        """Let all jobs end, also those whose FINISHED was lost with a monitor."""
        self.stopping.set()
        self.playing.join()
        for channel in self.load.sent:
            self.load.send(channel, [b"FINISHED"])
        for follower in self.followers:
            follower.join(30)
            self.assertTrue(follower.ended, f"{follower.channel} by {type(follower).__name__}")

    def missing(self) -> int:
        """How many messages no client got; fails if one got any of them twice, or out of order."""
        missing = 0
        for channel, sent in self.load.sent.items():
            due = [as_object(each) for each in sent]
            lists = [each.got for each in self.followers if each.channel == channel]
            self.assertEqual(lists, [lists[0]] * 3, channel)
            rest = iter(due)
            self.assertTrue(all(each in rest for each in lists[0]), f"order in {channel}")
            missing += len(due) - len(lists[0])
        return missing

    def test_stopped(self) -> None:
        """Stopped by SIGTERM, a monitor loses nothing: every client gets every message once."""
        for _ in range(RESTARTS):
            self.restart(signal.SIGTERM)
        self.to_the_end()
        self.assertEqual(self.missing(), 0)
        self.assertEqual(sum(each.gaps for each in self.followers), 0)

    def test_killed(self) -> None:
        """Killed, it loses what it had not read, and nothing that any client has seen."""
        for _ in range(RESTARTS):
            self.restart(signal.SIGKILL)
        self.to_the_end()
        missing, sent = self.missing(), sum(map(len, self.load.sent.values()))
        print(f"\n{RESTARTS} kills: {missing} of {sent} messages were received and not yet read")
        self.assertEqual(sum(each.gaps for each in self.followers), 0)
