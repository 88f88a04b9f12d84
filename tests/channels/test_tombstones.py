"""What is remembered of channels that are no longer kept."""

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.channels.tombstones import Tombstone, Tombstones
from tests.support.channels import ADDED, RETENTION, Follower, HubTestCase, frames
from tests.support.settings import change


def ended(channel_id: str, count: int = 1) -> Channel:
    """A channel with so many messages that has ended."""
    channel = Channel(channel_id)
    for _ in range(count):
        channel.append(b"x" * 300)
    channel.end = channel.outcome = End.FINISHED
    return channel


WEBSOCKET = mock.Mock(kind="websocket", address=None)


class TombstoneTests(SynchronousTestCase):
    """Channels as they are remembered."""

    def test_channel(self) -> None:
        """Only the last message is there, with the number that it had."""
        for count in (1, 2, 500):
            gone = ended("job", count)
            channel = Tombstone.of(gone, 5).channel()
            self.assertEqual(bytes(channel.log), frames(ADDED))
            self.assertEqual((channel.epoch, channel.end), (gone.epoch, End.FINISHED))
            self.assertEqual((channel.count, channel.skipped), (count, count - 1))
            self.assertEqual(
                [channel.count_at(0), channel.count_at(len(channel.log))], [count - 1, count]
            )
            self.assertEqual(
                [channel.position(count - 1), channel.position(count)], [0, len(channel.log)]
            )

    def test_text(self) -> None:
        """A text has all of it, whatever the id is."""
        for name in ("job", "a b", " ", "- 1", "\n"):
            failed = Tombstone(name, End.FINISHED, 5, "epoch", 34, End.FAILED, 2, 300)
            for one in (failed, failed._replace(end=None, outcome=None)):
                self.assertEqual(Tombstone.parse(one.text(), 5), one)

    def test_bounded(self) -> None:
        """There are as many as the limit says, the newest."""
        tombstones = Tombstones(lambda: 2)
        for name in ("a", "b", "a", "c"):
            tombstones.add([Tombstone.of(ended(name), 0)])
        kept = [name for name in "abc" if tombstones.get(name)]
        self.assertEqual(kept, ["a", "c"])


class HubTests(HubTestCase):
    """Followers of channels that are no longer kept."""

    def test_followers(self) -> None:
        """It is remembered how many had followed."""
        for _ in range(3):
            Follower(self.hub, self.clock, client=WEBSOCKET)
        self.publish("FINISHED")
        self.let_pass(RETENTION)
        found = self.hub.retention.tombstones.get("job")
        self.assertEqual(found and found.followers, 3)

    def test_kept(self) -> None:
        """It is remembered when it had ended; one that is evicted was kept for less."""
        self.publish("FINISHED")
        self.let_pass(RETENTION - 5)
        change(self.hub.settings, max_channels=1)
        self.publish("A", channel_id="other")
        found = self.hub.retention.tombstones.get("job")
        self.assertEqual(found and found.kept, RETENTION - 5)

    def test_not_ended(self) -> None:
        """A channel that was removed before its end is waited for, and that is remembered."""
        change(self.hub.settings, max_channels=1)
        self.publish("A")
        self.publish("A", channel_id="other")
        self.publish("FINISHED", channel_id="other")
        follower = self.follow()
        self.assertEqual((follower.got, follower.end), (b"", None))
        found = self.hub.retention.tombstones.get("job")
        self.assertEqual(found and found.end, None)
        self.publish("B")
        self.assertEqual(follower.got, frames("B"))

    def test_failed(self) -> None:
        """How the job went is remembered, too."""
        self.publish("FAILED", "FINISHED")
        self.let_pass(RETENTION)
        follower = self.follow()
        self.assertEqual((follower.got, follower.end), (frames(ADDED), End.FINISHED))
        self.assertEqual(follower.channel.outcome, End.FAILED)
        self.assertEqual((self.hub.channels, self.hub.retention.history_bytes), ({}, 0))
