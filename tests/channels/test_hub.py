"""The hub: who is woken when, and gets what."""

from recodex_monitor.channels.channel import CHUNK_SIZE, End
from recodex_monitor.channels.hub import MAX_HOLD, WAKES
from recodex_monitor.timing.slices import SLICE
from tests.support.channels import (
    Follower,
    HubTestCase,
    frames,
    message,
)


class Broken(Follower):
    """A follower whose ``wake`` fails."""

    def wake(self) -> bool:
        """Fail."""
        raise RuntimeError("a bug")


class BrokenTwice(Broken):
    """A follower whose ``abandon`` fails too."""

    def abandon(self) -> None:
        """Fail again."""
        raise RuntimeError("another bug")


class ReadTests(HubTestCase):
    """Followers get the messages of their channel."""

    def test_history_then_live(self) -> None:
        """A follower gets the messages published before it came, and then the new ones."""
        self.publish("A", "B")
        follower = self.follow()
        self.assertEqual(follower.got, frames("A", "B"))
        self.publish("C")
        self.assertEqual(follower.got, frames("A", "B", "C"))

    def test_unknown_channel(self) -> None:
        """A follower may come before the first message of its channel."""
        follower = self.follow()
        self.assertEqual((follower.got, follower.end), (b"", None))
        self.publish("A")
        self.assertEqual(follower.got, frames("A"))

    def test_only_its_channel(self) -> None:
        """All followers of a channel get its messages, and those of another channel none."""
        followers, other = [self.follow(), self.follow()], self.follow("other")
        self.publish("A")
        self.assertEqual([follower.got for follower in followers], [frames("A")] * 2)
        self.assertEqual((other.got, other.wakes), (b"", 1))

    def test_one_wake_a_batch(self) -> None:
        """A batch of messages for several channels wakes each follower once."""
        followers = [self.follow("a"), self.follow("b")]
        batch = [message(command, channel) for command in "AB" for channel in "ab"]
        self.hub.publish(batch)
        self.assertEqual([follower.got for follower in followers], [frames("A", "B")] * 2)
        self.assertEqual([follower.wakes for follower in followers], [2, 2])

    def test_paused(self) -> None:
        """A follower that can take no more keeps its position, and goes on from there."""
        texts = [f"{number}" + "x" * CHUNK_SIZE for number in range(5)]
        follower = self.follow()
        follower.room = 2
        self.publish(*texts)
        self.assertEqual(follower.got, frames(*texts[:2]))
        follower.resume()
        self.assertEqual(follower.got, frames(*texts))

    def test_fair(self) -> None:
        """Followers that have much to read take turns, a chunk each."""
        order: list[Follower] = []

        class Noted(Follower):
            """Notes when it was woken."""

            def wake(self) -> bool:
                order.append(self)
                return super().wake()

        followers = {Noted(self.hub, self.clock), Noted(self.hub, self.clock)}
        self.publish(*["x" * CHUNK_SIZE] * 3)
        self.assertEqual(set(order[:2]), followers)
        self.assertEqual(order, order[:2] * 3)

    def test_failing_subscriber(self) -> None:
        """A follower that fails is abandoned and not woken again; the others get everything."""
        followers = [self.follow()]
        broken = Broken(self.hub, self.clock)
        followers.append(self.follow())
        self.publish("A")
        self.publish("B")
        self.assertEqual([follower.got for follower in followers], [frames("A", "B")] * 2)
        self.assertTrue(broken.abandoned)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_failing_twice(self) -> None:
        """A follower that fails again when it is abandoned does no harm to the others."""
        for _ in range(2):
            BrokenTwice(self.hub, self.clock)
        follower = self.follow()
        self.publish("A")
        self.assertEqual(follower.got, frames("A"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 4)


class UnsubscribeTests(HubTestCase):
    """Followers leave."""

    def test_gets_no_more(self) -> None:
        """A follower that has unsubscribed is not woken; to unsubscribe twice does nothing."""
        follower = self.follow()
        self.publish("A")
        for _ in range(2):
            self.hub.unsubscribe(follower)
        self.publish("B")
        self.assertEqual((follower.got, follower.wakes), (frames("A"), 2))

    def test_unused_channel_vanishes(self) -> None:
        """A channel without messages is removed with its last follower."""
        first, second = self.follow(), self.follow()
        self.hub.unsubscribe(first)
        self.assertEqual(list(self.hub.channels), ["job"])
        self.hub.unsubscribe(second)
        self.assertEqual(self.hub.channels, {})

    def test_used_channel_stays(self) -> None:
        """A channel with messages stays when its last follower leaves."""
        follower = self.follow()
        self.publish("A")
        self.hub.unsubscribe(follower)
        self.assertEqual(self.follow().got, frames("A"))

    def test_twice_across_channels(self) -> None:
        """To unsubscribe twice does not remove a newer channel of the same id."""
        old = self.follow()
        self.hub.unsubscribe(old)
        new = self.follow()
        self.hub.unsubscribe(old)
        self.publish("A")
        self.assertEqual(new.got, frames("A"))


class HoldTests(HubTestCase):
    """Followers wait while more messages are about to follow."""

    def publish_more(self, command: str) -> None:
        """Publish a message and say that there are more."""
        self.hub.publish([message(command)], more=True)

    def test_held(self) -> None:
        """Messages that come while there are more reach a follower in one wake."""
        follower = self.follow()
        self.publish_more("A")
        self.publish_more("B")
        self.assertEqual(follower.got, b"")
        self.hub.publish([])
        self.assertEqual((follower.got, follower.wakes), (frames("A", "B"), 2))

    def test_not_for_long(self) -> None:
        """However many more there are, nobody waits much longer than MAX_HOLD seconds."""
        follower = self.follow()
        self.publish_more("A")
        self.clock.advance(MAX_HOLD * 1.1)
        self.publish_more("B")
        self.assertEqual(follower.got, frames("A", "B"))

    def test_others_are_served(self) -> None:
        """Whoever comes meanwhile gets what is there."""
        self.publish_more("A")
        self.assertEqual(self.follow().got, frames("A"))


class DelayTests(HubTestCase):
    """The delay from reading a message to passing it on."""

    def setUp(self) -> None:
        """Ask for one delay."""
        super().setUp()
        self.delays: list[float] = []
        self.hub.on_delivered = self.delays.append

    def test_once(self) -> None:
        """It is reported once all followers have been woken, and then not again."""
        for _ in range(2):
            self.follow().cost = 0.5
        self.publish("A")
        self.publish("B")
        self.assertEqual(self.delays, [1.0])

    def test_held(self) -> None:
        """It counts the time for which messages were held."""
        self.hub.publish([message("A")], more=True)
        self.clock.advance(0.05)
        self.assertEqual(self.delays, [])
        self.hub.publish([])
        self.assertEqual(self.delays, [0.05])

    def test_nothing_published(self) -> None:
        """Without a message there is no delay."""
        self.follow()
        self.hub.publish([])
        self.assertEqual(self.delays, [])


class SliceTests(HubTestCase):
    """Followers are woken in time slices, so that the reactor is not kept long."""

    def followers(self, count: int) -> list[Follower]:
        """Make ``count`` batches of WAKES followers, of which a little over three fill a slice."""
        followers = [self.follow() for _ in range(count * WAKES)]
        for follower in followers:
            follower.cost = SLICE / WAKES / 3.5
        return followers

    def test_rest_comes_later(self) -> None:
        """Followers for whom there is no time are woken in later slices: all of them, once."""
        followers = self.followers(12)
        self.publish("A")
        after = []
        while self.clock.calls:
            after.append([follower.got for follower in followers].count(frames("A")))
            self.clock.calls.pop().func()
        self.assertEqual(after, [6 * WAKES, 11 * WAKES])
        self.assertEqual({follower.got for follower in followers}, {frames("A")})
        self.assertEqual({follower.wakes for follower in followers}, {2})

    def test_nothing_between(self) -> None:
        """While some wait for a later slice, nobody is woken before them."""
        followers = self.followers(10)
        self.publish("A")
        woken = sum(follower.wakes for follower in followers)
        self.publish("B", "FINISHED")
        followers.append(self.follow())
        self.hub.expire()
        self.assertEqual(sum(follower.wakes for follower in followers), woken)
        self.clock.advance(0)
        self.assertEqual({follower.got for follower in followers}, {frames("A", "B", "FINISHED")})
        self.assertEqual({follower.end for follower in followers}, {End.FINISHED})

    def test_gone_meanwhile(self) -> None:
        """A follower that unsubscribes while it waits for a later slice is not woken in it."""
        followers = self.followers(10)
        self.publish("A")
        waiting = [follower for follower in followers if not follower.got]
        for follower in waiting:
            self.hub.unsubscribe(follower)
        self.clock.advance(0)
        self.assertEqual([follower.got for follower in waiting], [b""] * len(waiting))
