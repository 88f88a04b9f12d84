"""What channels are removed when there is no room."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import End
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.retention import NoRoom
from tests.support.channels import (
    ADDED,
    GRACE,
    RETENTION,
    Follower,
    frames,
    message,
)
from tests.support.settings import change, live


class LimitTests(SynchronousTestCase):
    """What happens where a limit is reached."""

    def make(self, **limits: Any) -> Hub:
        """A hub with these limits."""
        self.clock = Clock()
        return Hub(self.clock, live(retention=RETENTION, failed_grace=GRACE, **limits))

    def test_messages_of_a_channel(self) -> None:
        """To a full channel, only its end is added; the other messages are dropped and counted."""
        hub = self.make(max_channel_messages=3)
        follower = Follower(hub, self.clock).start()
        hub.publish([message(command) for command in ("A", "B", "C", "D", "E", "FINISHED")])
        self.assertEqual(follower.got, frames("A", "B", "C", "FINISHED"))
        self.assertEqual(follower.end, End.FINISHED)
        self.assertEqual(hub.dropped.counts, {"channel full": 2})

    def test_bytes_of_a_channel(self) -> None:
        """A channel is full by its bytes, too."""
        hub = self.make(max_channel_bytes=1000)
        hub.publish([message("A", text="x" * 600)] * 3)
        self.assertEqual(hub.channels["job"].count, 2)

    def test_failed_in_a_full_channel(self) -> None:
        """FAILED ends a full channel too, and is added like the end."""
        hub = self.make(max_channel_messages=1)
        follower = Follower(hub, self.clock).start()
        hub.publish([message("A"), message("FAILED")])
        self.clock.advance(GRACE)
        hub.expire()
        self.assertEqual((follower.got, follower.end), (frames("A", "FAILED", ADDED), End.FAILED))

    def test_ended_channels_go_first(self) -> None:
        """Where all histories are too long, the channel that ended first is evicted."""
        hub = self.make(max_history_bytes=1000)
        for name in ("running", "old", "new"):
            hub.publish([message("A", name, "x" * 300)])
        hub.publish([message("FINISHED", "old"), message("FINISHED", "new")])
        hub.publish([message("A", "more", "x" * 300)] * 2)
        self.assertEqual(set(hub.channels), {"running", "new", "more"})
        self.assertEqual(hub.retention.evicted.counts, {"max_history_bytes": 1})

    def test_then_silent_ones(self) -> None:
        """Without ended channels, the one that was silent longest goes, unless it is followed."""
        hub = self.make(max_channels=3)
        Follower(hub, self.clock, "followed").start()
        for name in ("followed", "silent", "running"):
            hub.publish([message("A", name)])
        hub.publish([message("A", "new")])
        self.assertEqual(set(hub.channels), {"followed", "running", "new"})

    def test_not_while_it_is_read(self) -> None:
        """An ended channel is not evicted while a follower has not read all of it."""
        hub = self.make(max_channels=1)
        follower = Follower(hub, self.clock)
        follower.room = 0
        hub.publish([message("FINISHED")])
        hub.publish([message("A", "new")])
        self.assertEqual(set(hub.channels), {"job"})
        self.assertEqual(hub.dropped.counts, {"no room": 1})
        self.assertRaises(NoRoom, hub.subscribe, "other", follower)
        self.assertFalse(hub.retention.has_room("other"))
        self.assertTrue(hub.retention.has_room("job"))
        follower.room = 1
        follower.start()
        self.assertTrue(hub.retention.has_room("other"))
        self.assertEqual(set(hub.channels), {"job"})
        hub.publish([message("A", "new")])
        self.assertEqual(set(hub.channels), {"new"})

    def test_not_for_itself(self) -> None:
        """A channel is not evicted to make room for its own next message."""
        hub = self.make(max_history_bytes=1000)
        hub.publish([message("A", text="x" * 600)] * 3)
        self.assertEqual(set(hub.channels), {"job"})
        self.assertEqual(hub.channels["job"].count, 2)

    def test_bytes_are_counted(self) -> None:
        """``history_bytes`` is the size of the channels that are kept."""
        hub = self.make()
        hub.publish([message("A", "one"), message("FINISHED", "two"), message("FAILED", "three")])
        for _ in range(GRACE + RETENTION):
            kept = sum(len(channel.log) for channel in hub.channels.values())
            self.assertEqual(hub.retention.history_bytes, kept)
            self.clock.advance(1)
            hub.expire()
        self.assertEqual(set(hub.channels), {"one"})

    def test_lowered_limits(self) -> None:
        """Where a limit is lowered, channels are evicted until it holds."""
        hub = self.make()
        for name in "abc":
            hub.publish([message("A", name, "x" * 300)])
        change(hub.settings, max_channels=2)
        hub.expire()
        self.assertEqual(set(hub.channels), {"b", "c"})
        change(hub.settings, max_history_bytes=400)
        hub.expire()
        self.assertEqual(set(hub.channels), {"c"})

    def test_tombstones(self) -> None:
        """A removed channel that had messages is remembered with its end and the time."""
        hub = self.make(max_channels=1)
        hub.unsubscribe(Follower(hub, self.clock, "unused").start())
        hub.publish([message("A", "running")])
        self.clock.advance(5)
        hub.publish([message("FINISHED", "ended")])
        self.clock.advance(RETENTION)
        hub.expire()
        expected = {"running": (None, 5), "ended": (End.FINISHED, 5 + RETENTION)}
        for name, values in expected.items():
            found = hub.retention.tombstones.get(name)
            assert found is not None
            self.assertEqual((found.end, found.at), values)
        self.assertIsNone(hub.retention.tombstones.get("unused"))
