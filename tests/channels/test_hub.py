"""Channels by id: who gets what, and how channels end."""

from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import CHUNK_SIZE, End, Subscription
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.channels.hub import WAKES, Bounds, Hub, NoRoom
from recodex_monitor.channels.message import Message, finished
from recodex_monitor.timing.slices import TURN

RETENTION, GRACE, IDLE = 30, 10, 60


def message(command: str, channel_id: str = "job", text: str = "") -> Message:
    """A message whose text is its command, or another one."""
    return Message(channel_id, command, (text or command).encode())


def frames(*texts: str) -> bytes:
    """What a reader is due for these texts."""
    return b"".join(text_frame(text.encode()) for text in texts)


ADDED = finished("job").text.decode()


class Reader(Subscription):
    """A subscription that reads as a browser's connection does: a chunk a wake, until it pauses.

    It takes ``room`` chunks before it waits to be resumed; each wake lasts ``cost`` seconds.
    """

    def __init__(self, hub: Hub, clock: Clock, channel_id: str = "job") -> None:
        super().__init__()
        self.hub = hub
        self.clock = clock
        self.got = b""
        self.wakes = 0
        self.room = 1_000_000
        self.cost = 0.0
        self.end: End | None = None
        self.abandoned = False
        hub.subscribe(channel_id, self)

    def start(self) -> "Reader":
        """Read what is there."""
        self.hub.wake(self)
        return self

    def wake(self) -> bool:
        """Called by the hub."""
        self.wakes += 1
        self.clock.rightNow += self.cost
        if not self.room:
            return False
        if chunk := self.read():
            self.got += chunk
            self.room -= 1
        if self.behind:
            return self.room > 0
        if self.channel.end is not None:
            self.end = self.channel.end
            self.hub.unsubscribe(self)
        return False

    def abandon(self) -> None:
        """Called by the hub."""
        self.abandoned = True

    def resume(self, room: int = 1_000_000) -> None:
        """Take more chunks."""
        self.room = room
        self.hub.wake(self)


class Broken(Reader):
    """A subscriber with a bug."""

    def wake(self) -> bool:
        """Fail."""
        raise RuntimeError("a bug")


class BrokenTwice(Broken):
    """A subscriber that cannot even be abandoned."""

    def abandon(self) -> None:
        """Fail again."""
        raise RuntimeError("another bug")


class HubTestCase(SynchronousTestCase):
    """A hub, and time that the test lets pass."""

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.hub = Hub(
            self.clock, Bounds(retention=RETENTION, failed_grace=GRACE, idle_timeout=IDLE)
        )

    def publish(self, *commands: str, channel_id: str = "job") -> None:
        """Let the broker say something in a channel."""
        self.hub.publish([message(command, channel_id) for command in commands])

    def follow(self, channel_id: str = "job") -> Reader:
        """Make a reader of a channel."""
        return Reader(self.hub, self.clock, channel_id).start()

    def let_pass(self, seconds: int) -> None:
        """Let time pass, with what is done each second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.hub.expire()


class ReadTests(HubTestCase):
    """Subscribers get their channel's log."""

    def test_history_then_live(self) -> None:
        """A subscriber gets what was published before it came, then what is published."""
        self.publish("A", "B")
        reader = self.follow()
        self.assertEqual(reader.got, frames("A", "B"))
        self.publish("C")
        self.assertEqual(reader.got, frames("A", "B", "C"))

    def test_unknown_channel(self) -> None:
        """A subscriber may come before its channel's first message."""
        reader = self.follow()
        self.assertEqual((reader.got, reader.end), (b"", None))
        self.publish("A")
        self.assertEqual(reader.got, frames("A"))

    def test_nobody_else(self) -> None:
        """All subscribers of a channel get its messages, those of another get none."""
        readers, other = [self.follow(), self.follow()], self.follow("other")
        self.publish("A")
        self.assertEqual([reader.got for reader in readers], [frames("A")] * 2)
        self.assertEqual((other.got, other.wakes), (b"", 1))

    def test_one_wake_a_batch(self) -> None:
        """What is published at once, in several channels, is one wake for each subscriber."""
        readers = [self.follow("a"), self.follow("b")]
        batch = [message(command, channel) for command in "AB" for channel in "ab"]
        self.hub.publish(batch)
        self.assertEqual([reader.got for reader in readers], [frames("A", "B")] * 2)
        self.assertEqual([reader.wakes for reader in readers], [2, 2])

    def test_paused(self) -> None:
        """A subscriber that takes no more stays where it is and goes on from there."""
        texts = [f"{number}" + "x" * CHUNK_SIZE for number in range(5)]
        reader = self.follow()
        reader.room = 2
        self.publish(*texts)
        self.assertEqual(reader.got, frames(*texts[:2]))
        reader.resume()
        self.assertEqual(reader.got, frames(*texts))

    def test_fair(self) -> None:
        """Subscribers that have much to read are woken in turn, a chunk each."""
        order: list[Reader] = []

        class Noted(Reader):
            """Notes when it was woken."""

            def wake(self) -> bool:
                order.append(self)
                return super().wake()

        readers = {Noted(self.hub, self.clock), Noted(self.hub, self.clock)}
        self.publish(*["x" * CHUNK_SIZE] * 3)
        self.assertEqual(set(order[:2]), readers)
        self.assertEqual(order, order[:2] * 3)

    def test_failing_subscriber(self) -> None:
        """A subscriber that fails is abandoned, never woken again, and the others are served."""
        readers = [self.follow()]
        broken = Broken(self.hub, self.clock)
        readers.append(self.follow())
        self.publish("A")
        self.publish("B")
        self.assertEqual([reader.got for reader in readers], [frames("A", "B")] * 2)
        self.assertTrue(broken.abandoned)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_failing_twice(self) -> None:
        """A subscriber that fails even when it is abandoned does the others no harm either."""
        for _ in range(2):
            BrokenTwice(self.hub, self.clock)
        reader = self.follow()
        self.publish("A")
        self.assertEqual(reader.got, frames("A"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 4)


class UnsubscribeTests(HubTestCase):
    """Subscribers go."""

    def test_gets_no_more(self) -> None:
        """Who has unsubscribed is not woken any more; doing it again does nothing."""
        reader = self.follow()
        self.publish("A")
        for _ in range(2):
            self.hub.unsubscribe(reader)
        self.publish("B")
        self.assertEqual((reader.got, reader.wakes), (frames("A"), 2))

    def test_unused_channel_vanishes(self) -> None:
        """A channel without messages goes with its last subscriber."""
        first, second = self.follow(), self.follow()
        self.hub.unsubscribe(first)
        self.assertEqual(list(self.hub.channels), ["job"])
        self.hub.unsubscribe(second)
        self.assertEqual(self.hub.channels, {})

    def test_used_channel_stays(self) -> None:
        """A channel with messages stays without subscribers."""
        reader = self.follow()
        self.publish("A")
        self.hub.unsubscribe(reader)
        self.assertEqual(self.follow().got, frames("A"))

    def test_twice_across_channels(self) -> None:
        """Unsubscribing again does not take away a newer channel of the same id."""
        old = self.follow()
        self.hub.unsubscribe(old)
        new = self.follow()
        self.hub.unsubscribe(old)
        self.publish("A")
        self.assertEqual(new.got, frames("A"))


class EndTests(HubTestCase):
    """The three ends, and what is none."""

    def test_finished(self) -> None:
        """FINISHED ends a channel; its subscribers learn it once they have read it."""
        reader = self.follow()
        self.publish("A", "FINISHED")
        self.assertEqual((reader.got, reader.end), (frames("A", "FINISHED"), End.FINISHED))
        self.assertEqual(self.hub.channels["job"].subscriptions, set())

    def test_paused_at_the_end(self) -> None:
        """A subscriber that takes no more learns of the end when it has read all, however late."""
        reader = self.follow()
        reader.room = 1
        self.publish("x" * CHUNK_SIZE, "FINISHED")
        self.let_pass(2 * RETENTION)
        self.assertEqual((self.hub.channels, reader.end), ({}, None))
        reader.resume()
        self.assertEqual(reader.got, frames("x" * CHUNK_SIZE, "FINISHED"))
        self.assertEqual(reader.end, End.FINISHED)

    def test_nothing_after_the_end(self) -> None:
        """What comes after the end reaches nobody, is counted, and is not another end."""
        self.publish("FINISHED", "A")
        self.let_pass(RETENTION - 1)
        self.publish("FINISHED")
        self.assertEqual(self.follow().got, frames("FINISHED"))
        self.assertEqual(self.hub.dropped.counts, {"channel ended": 2})
        self.let_pass(1)
        self.assertEqual(self.hub.channels, {})

    def test_retention(self) -> None:
        """An ended channel is kept for its retention; then its id is that of a new channel."""
        self.publish("A", "FINISHED")
        self.let_pass(RETENTION - 1)
        late = self.follow()
        self.assertEqual((late.got, late.end), (frames("A", "FINISHED"), End.FINISHED))
        self.let_pass(1)
        too_late = self.follow()
        self.publish("B")
        self.assertEqual((too_late.got, too_late.end), (frames("B"), None))

    def test_failed(self) -> None:
        """FAILED with nothing behind it is the end after the grace, told by an added FINISHED."""
        reader = self.follow()
        self.publish("FAILED")
        self.let_pass(GRACE - 1)
        self.assertEqual((reader.got, reader.end), (frames("FAILED"), None))
        self.let_pass(1)
        late = self.follow()
        for one in (reader, late):
            self.assertEqual((one.got, one.end), (frames("FAILED", ADDED), End.FAILED))

    def test_failed_and_more(self) -> None:
        """FAILED with anything behind it within the grace is no end."""
        for command in ("DOWNLOADED", "ABORTED", "x"):
            reader = self.follow(command)
            self.publish("FAILED", channel_id=command)
            self.let_pass(GRACE - 1)
            self.publish(command, channel_id=command)
            self.let_pass(GRACE + 1)
            self.assertEqual((reader.got, reader.end), (frames("FAILED", command), None))

    def test_failed_again(self) -> None:
        """A second FAILED begins the grace anew."""
        self.publish("FAILED")
        self.let_pass(GRACE - 1)
        self.publish("FAILED")
        self.let_pass(GRACE - 1)
        self.assertIsNone(self.follow().end)
        self.let_pass(1)
        self.assertEqual(self.follow().end, End.FAILED)

    def test_failed_then_finished(self) -> None:
        """A worker's FAILED is followed by its own FINISHED, and none is added."""
        self.publish("FAILED", "FINISHED")
        self.let_pass(GRACE)
        late = self.follow()
        self.assertEqual((late.got, late.end), (frames("FAILED", "FINISHED"), End.FINISHED))

    def test_after_failed(self) -> None:
        """Messages that come after a failed end are dropped like those after FINISHED."""
        self.publish("FAILED")
        self.let_pass(GRACE)
        self.publish("FINISHED")
        self.assertEqual(self.follow().got, frames("FAILED", ADDED))
        self.assertEqual(self.hub.dropped.counts, {"channel ended": 1})

    def test_expired(self) -> None:
        """Silence after a channel's last message is its end, told by an added FINISHED."""
        reader = self.follow()
        self.publish("A")
        self.let_pass(IDLE - 1)
        self.publish("ABORTED")
        self.let_pass(IDLE - 1)
        self.assertIsNone(reader.end)
        self.let_pass(1)
        late = self.follow()
        for one in (reader, late):
            self.assertEqual((one.got, one.end), (frames("A", "ABORTED", ADDED), End.EXPIRED))
        self.let_pass(RETENTION)
        self.assertEqual(self.hub.channels, {})

    def test_nobody_published(self) -> None:
        """A channel to which nothing was published does not expire while somebody waits."""
        reader = self.follow()
        self.let_pass(2 * IDLE)
        self.publish("A")
        self.assertEqual((reader.got, reader.end), (frames("A"), None))


class TurnTests(HubTestCase):
    """No turn of the reactor takes long."""

    def followers(self, count: int) -> list[Reader]:
        """Readers, in so many batches that each take a little less than a third of a turn."""
        readers = [self.follow() for _ in range(count * WAKES)]
        for reader in readers:
            reader.cost = TURN / WAKES / 3.5
        return readers

    def test_rest_comes_later(self) -> None:
        """What is not done at once, or in a turn, is done in later ones: in order, and once."""
        readers = self.followers(12)
        self.publish("A")
        turns = []
        while self.clock.calls:
            turns.append([reader.got for reader in readers].count(frames("A")))
            self.clock.calls.pop().func()
        self.assertEqual(turns, [6 * WAKES, 11 * WAKES])
        self.assertEqual({reader.got for reader in readers}, {frames("A")})
        self.assertEqual({reader.wakes for reader in readers}, {2})

    def test_nothing_between(self) -> None:
        """While some wait for a later turn nobody is served before them, and all get all."""
        readers = self.followers(10)
        self.publish("A")
        woken = sum(reader.wakes for reader in readers)
        self.publish("B", "FINISHED")
        readers.append(self.follow())
        self.hub.expire()
        self.assertEqual(sum(reader.wakes for reader in readers), woken)
        self.clock.advance(0)
        self.assertEqual({reader.got for reader in readers}, {frames("A", "B", "FINISHED")})
        self.assertEqual({reader.end for reader in readers}, {End.FINISHED})

    def test_gone_meanwhile(self) -> None:
        """Who unsubscribes while waiting for a later turn is not woken in it."""
        readers = self.followers(10)
        self.publish("A")
        waiting = [reader for reader in readers if not reader.got]
        for reader in waiting:
            self.hub.unsubscribe(reader)
        self.clock.advance(0)
        self.assertEqual([reader.got for reader in waiting], [b""] * len(waiting))


class Model:
    """What a channel is: its texts, and when something was said last."""

    def __init__(self) -> None:
        self.log = b""
        self.end: End | None = None
        self.last = ""
        self.since = 0.0

    def add(self, text: bytes, last: str, now: float) -> None:
        """One more message."""
        self.log += text_frame(text)
        self.last, self.since = last, now

    def close(self, end: End, now: float) -> None:
        """End it as the monitor does."""
        self.add(finished("-").text, "", now)
        self.end = end


class Machine(RuleBasedStateMachine):
    """Hub, channels and readers beside the model, in any order of what may happen."""

    CHANNELS = st.sampled_from("ab")
    COMMANDS = st.sampled_from(["TASK", "TASK", "TASK", "ABORTED", "FAILED", "FINISHED"])
    SIZES = st.sampled_from([1, 1000, 9000, CHUNK_SIZE, 40000])
    INDEX = st.integers(0, 99)

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.hub = Hub(self.clock, Bounds(retention=4, failed_grace=2, idle_timeout=5))
        self.models: dict[str, Model] = {}
        self.readers: list[tuple[Reader, Model]] = []
        self.count = 0

    def model(self, channel_id: str) -> Model:
        """The channel that has this id now."""
        return self.models.setdefault(channel_id, Model())

    def reader(self, index: int) -> Reader:
        """One of the readers."""
        return self.readers[index % len(self.readers)][0]

    @rule(batch=st.lists(st.tuples(CHANNELS, COMMANDS, SIZES), max_size=5))
    def publish(self, batch: Sequence[tuple[str, str, int]]) -> None:
        """The broker says something."""
        messages = []
        now = self.clock.seconds()
        for channel_id, command, size in batch:
            self.count += 1
            text = f"{self.count} {command} {'x' * size}"
            messages.append(message(command, channel_id, text))
            model = self.model(channel_id)
            if model.end is None:
                model.add(text.encode(), command, now)
                model.end = End.FINISHED if command == "FINISHED" else None
        self.hub.publish(messages)

    @rule(
        channel_id=CHANNELS, room=st.integers(0, 3), cost=st.sampled_from([0, TURN / 3, TURN * 2])
    )
    def subscribe(self, channel_id: str, room: int, cost: float) -> None:
        """A reader comes, quick or slow."""
        reader = Reader(self.hub, self.clock, channel_id)
        reader.room, reader.cost = room or reader.room, cost
        self.readers.append((reader, self.model(channel_id)))
        reader.start()

    @precondition(lambda self: self.readers)
    @rule(index=INDEX)
    def pause(self, index: int) -> None:
        """A reader takes no more."""
        self.reader(index).room = 0

    @precondition(lambda self: self.readers)
    @rule(index=INDEX, room=st.integers(1, 3))
    def resume(self, index: int, room: int) -> None:
        """A reader takes some more."""
        if self.reader(index).end is None:
            self.reader(index).resume(room)

    @precondition(lambda self: self.readers)
    @rule(index=INDEX)
    def unsubscribe(self, index: int) -> None:
        """A reader goes."""
        reader, model = self.readers.pop(index % len(self.readers))
        self.hub.unsubscribe(reader)
        unused = not model.log and all(other is not model for _, other in self.readers)
        if unused:
            self.models = {key: one for key, one in self.models.items() if one is not model}

    @rule()
    def next_turn(self) -> None:
        """The reactor has a turn for what waits."""
        self.clock.advance(0)

    @rule(seconds=st.integers(1, 6))
    def let_pass(self, seconds: int) -> None:
        """Time passes, with what is done each second."""
        for _ in range(seconds):
            self.clock.advance(1)
            now = self.clock.seconds()
            for channel_id, model in tuple(self.models.items()):
                self.expire(channel_id, model, now)
            self.hub.expire()

    def expire(self, channel_id: str, model: Model, now: float) -> None:
        """What is due in a channel."""
        if model.end is not None:
            if now >= model.since + 4:
                del self.models[channel_id]
        elif model.last == "FAILED" and now >= model.since + 2:
            model.close(End.FAILED, now)
        elif model.log and now >= model.since + 5:
            model.close(End.EXPIRED, now)

    @invariant()
    def channels_are_those_of_the_model(self) -> None:
        """The hub has the channels that there should be, with their log and end."""
        expected = {key: (model.log, model.end) for key, model in self.models.items()}
        found = {key: (bytes(one.log), one.end) for key, one in self.hub.channels.items()}
        assert found == expected

    @invariant()
    def readers_have_what_they_took(self) -> None:
        """Each has the log's beginning, and the end exactly if all; all that it had room for."""
        for reader, model in self.readers:
            assert model.log.startswith(reader.got)
            if reader.end is not None:
                assert (reader.got, reader.end) == (model.log, model.end)
            elif reader.room and not self.clock.getDelayedCalls():
                assert reader.got == model.log
                assert model.end is None

    def teardown(self) -> None:
        """In the end, everybody who takes more gets all of it."""
        for reader, _ in self.readers:
            if reader.end is None:
                reader.resume()
        self.clock.advance(0)
        assert not self.clock.getDelayedCalls()
        self.readers_have_what_they_took()


class AnyOrderTests(SynchronousTestCase):
    """Hub and channels against the model."""

    def test_as_the_model(self) -> None:
        """Whatever happens when, everybody gets the log in order and once, and knows its end."""
        run_state_machine_as_test(Machine, settings=settings(deadline=None))


class BoundTests(SynchronousTestCase):
    """What happens at the bounds."""

    def make(self, **bounds: Any) -> Hub:
        """A hub with these bounds."""
        self.clock = Clock()
        return Hub(self.clock, Bounds(retention=RETENTION, failed_grace=GRACE, **bounds))

    def test_messages_of_a_channel(self) -> None:
        """A channel that is full takes its end only, and says once that it is full."""
        hub = self.make(max_channel_messages=3)
        reader = Reader(hub, self.clock).start()
        hub.publish([message(command) for command in ("A", "B", "C", "D", "E", "FINISHED")])
        self.assertEqual(reader.got, frames("A", "B", "C", "FINISHED"))
        self.assertEqual(reader.end, End.FINISHED)
        self.assertEqual(hub.dropped.counts, {"channel full": 2})

    def test_bytes_of_a_channel(self) -> None:
        """The same holds for its bytes."""
        hub = self.make(max_channel_bytes=1000)
        hub.publish([message("A", text="x" * 600)] * 3)
        self.assertEqual(hub.channels["job"].count, 2)

    def test_failed_in_a_full_channel(self) -> None:
        """A job that the broker gives up ends for its students in a full channel too."""
        hub = self.make(max_channel_messages=1)
        reader = Reader(hub, self.clock).start()
        hub.publish([message("A"), message("FAILED")])
        self.clock.advance(GRACE)
        hub.expire()
        self.assertEqual((reader.got, reader.end), (frames("A", ADDED), End.FAILED))

    def test_ended_channels_go_first(self) -> None:
        """When all histories are too long the oldest ended channel is forgotten first."""
        hub = self.make(max_history_bytes=1000)
        for name in ("running", "old", "new"):
            hub.publish([message("A", name, "x" * 300)])
        hub.publish([message("FINISHED", "old"), message("FINISHED", "new")])
        hub.publish([message("A", "more", "x" * 300)] * 2)
        self.assertEqual(set(hub.channels), {"running", "new", "more"})
        self.assertEqual(hub.evicted.counts, {"max_history_bytes": 1})

    def test_then_silent_ones_that_nobody_follows(self) -> None:
        """Then the channel that was silent longest goes, but none with a follower."""
        hub = self.make(max_channels=3)
        Reader(hub, self.clock, "followed").start()
        for name in ("followed", "silent", "running"):
            hub.publish([message("A", name)])
        hub.publish([message("A", "new")])
        self.assertEqual(set(hub.channels), {"followed", "running", "new"})

    def test_never_one_that_is_still_read(self) -> None:
        """An ended channel stays while a reader has not got it all."""
        hub = self.make(max_channels=1)
        reader = Reader(hub, self.clock)
        reader.room = 0
        hub.publish([message("FINISHED")])
        hub.publish([message("A", "new")])
        self.assertEqual(set(hub.channels), {"job"})
        self.assertEqual(hub.dropped.counts, {"no room": 1})
        self.assertRaises(NoRoom, hub.subscribe, "other", reader)
        reader.room = 1
        reader.start()
        hub.publish([message("A", "new")])
        self.assertEqual(set(hub.channels), {"new"})

    def test_a_channel_does_not_make_room_for_itself(self) -> None:
        """The only channel is not forgotten for its own next message."""
        hub = self.make(max_history_bytes=1000)
        hub.publish([message("A", text="x" * 600)] * 3)
        self.assertEqual(set(hub.channels), {"job"})
        self.assertEqual(hub.channels["job"].count, 2)

    def test_bytes_are_counted(self) -> None:
        """The bytes of all histories are those of the channels that are kept."""
        hub = self.make()
        hub.publish([message("A", "one"), message("FINISHED", "two"), message("FAILED", "three")])
        for _ in range(GRACE + RETENTION):
            kept = sum(len(channel.log) for channel in hub.channels.values())
            self.assertEqual(hub.history_bytes, kept)
            self.clock.advance(1)
            hub.expire()
        self.assertEqual(set(hub.channels), {"one"})
