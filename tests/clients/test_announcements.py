"""What the monitor itself tells clients that understand ids."""

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.announcements import Announcements
from tests.support.messages import message
from tests.support.settings import live


class AnnouncementsTests(SynchronousTestCase):
    """Each message of the monitor's own."""

    def setUp(self) -> None:
        """A hub whose broker is connected as long as ``has_broker`` says so."""
        self.clock = Clock()
        self.clock.advance(1000)
        self.hub = Hub(self.clock, live())
        self.has_broker = True
        self.made = Announcements(self.hub, self.clock.seconds, lambda: self.has_broker)

    def channel(self, *commands: str) -> Channel:
        """The channel of a job with these messages."""
        self.hub.publish([message("job", command) for command in commands])
        return self.hub.channels["job"]

    def subscribed(self, channel: Channel) -> dict[str, Any]:
        """What SUBSCRIBED says of a channel; its own keys come first."""
        told: dict[str, Any] = json.loads(self.made.subscribed(channel, recovered=True))
        self.assertEqual(list(told.items())[:2], [("command", "SUBSCRIBED"), ("recovered", True)])
        return dict(list(told.items())[2:])

    def test_age(self) -> None:
        """The age is that of the last message, also after the end; without one it is null."""
        self.assertEqual(self.subscribed(Channel("x")), {"age": None, "broker": True})
        channel = self.channel("STARTED")
        self.clock.advance(72.25)
        self.assertEqual(self.subscribed(channel), {"age": 72.2, "broker": True})
        self.channel("FINISHED")
        self.clock.advance(5)
        self.assertEqual(self.subscribed(channel)["age"], 5.0)

    def test_age_after_restart(self) -> None:
        """After a restart the age is known of ended channels, and of others by a new message."""
        ended, running = Channel("ended"), Channel("running")
        for one in (ended, running):
            one.append(b"{}")
            one.times = one.times[:0]
        ended.end = ended.outcome = None
        finished = self.channel("FINISHED").end
        ended.end = finished
        self.hub.restore([(ended, 40), (running, 0)])
        self.assertEqual(self.subscribed(ended)["age"], 40.0)
        self.assertIsNone(self.subscribed(running)["age"])

    def test_broker(self) -> None:
        """SUBSCRIBED and PING say whether a broker is connected now."""
        for self.has_broker in (True, False):
            told = json.loads(self.made.ping())
            self.assertEqual(told, {"command": "PING", "broker": self.has_broker})
            self.assertEqual(self.subscribed(Channel("x"))["broker"], self.has_broker)

    def test_outcome(self) -> None:
        """END says how the channel ended and how its job went; so does SUBSCRIBED, later."""
        channel = self.channel("STARTED", "FAILED", "FINISHED")
        told = json.loads(self.made.end(channel))
        self.assertEqual(told, {"command": "END", "reason": "finished", "outcome": "failed"})
        self.hub.retention.remove(channel)
        forgotten = self.hub.retention.find("job")
        assert forgotten is not None
        expected = {"age": None, "broker": True, "forgotten": "failed"}
        self.assertEqual(self.subscribed(forgotten), expected)
