"""The hub against a plain model, in any order of what may happen."""

from collections.abc import Sequence

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

from recodex_monitor.channels.channel import CHUNK_SIZE, End
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.message import finished
from recodex_monitor.timing.slices import SLICE
from tests.support.channels import (
    Follower,
    message,
)
from tests.support.settings import live


class Model:
    """What a channel should be: its log, its end, whether it failed, its last message's time."""

    def __init__(self) -> None:
        self.log = b""
        self.end: End | None = None
        self.failed = False
        self.since = 0.0

    def add(self, text: bytes, command: str, now: float) -> None:
        """Add a message."""
        self.log += text_frame(text)
        self.since = now
        if command in ("FAILED", "DOWNLOADED", "STARTED"):
            self.failed = command == "FAILED"

    def close(self, end: End, now: float) -> None:
        """End it as time does."""
        self.add(finished("-").text, "", now)
        self.end = end


class Machine(RuleBasedStateMachine):
    """A hub with followers beside the models of its channels."""

    CHANNELS = st.sampled_from("ab")
    COMMANDS = st.sampled_from(
        [*["TASK"] * 3, "DOWNLOADED", "STARTED", "ABORTED", "FAILED", "FINISHED"]
    )
    SIZES = st.sampled_from([1, 1000, 9000, CHUNK_SIZE, 40000])
    INDEX = st.integers(0, 99)

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.hub = Hub(self.clock, live(retention=4, failed_grace=2, idle_timeout=5))
        self.models: dict[str, Model] = {}
        self.forgotten: dict[str, End] = {}
        self.followers: list[tuple[Follower, Model]] = []
        self.count = 0

    def model(self, channel_id: str) -> Model:
        """The channel that has this id now."""
        self.forgotten.pop(channel_id, None)
        return self.models.setdefault(channel_id, Model())

    def followed(self, channel_id: str) -> Model:
        """What one who joins now follows: of a channel that is kept no longer, its end alone."""
        end = self.forgotten.get(channel_id)
        if end is None:
            return self.model(channel_id)
        model = Model()
        model.close(end, self.clock.seconds())
        return model

    def follower(self, index: int) -> Follower:
        """One of the followers."""
        return self.followers[index % len(self.followers)][0]

    @rule(batch=st.lists(st.tuples(CHANNELS, COMMANDS, SIZES), max_size=5))
    def publish(self, batch: Sequence[tuple[str, str, int]]) -> None:
        """The broker sends messages."""
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
        channel_id=CHANNELS, room=st.integers(0, 3), cost=st.sampled_from([0, SLICE / 3, SLICE * 2])
    )
    def subscribe(self, channel_id: str, room: int, cost: float) -> None:
        """A follower comes, quick or slow."""
        follower = Follower(self.hub, self.clock, channel_id)
        follower.room, follower.cost = room or follower.room, cost
        self.followers.append((follower, self.followed(channel_id)))
        follower.start()

    @precondition(lambda self: self.followers)
    @rule(index=INDEX)
    def pause(self, index: int) -> None:
        """A follower can take no more."""
        self.follower(index).room = 0

    @precondition(lambda self: self.followers)
    @rule(index=INDEX, room=st.integers(1, 3))
    def resume(self, index: int, room: int) -> None:
        """A follower can take some more."""
        if self.follower(index).end is None:
            self.follower(index).resume(room)

    @precondition(lambda self: self.followers)
    @rule(index=INDEX)
    def unsubscribe(self, index: int) -> None:
        """A follower leaves."""
        follower, model = self.followers.pop(index % len(self.followers))
        self.hub.unsubscribe(follower)
        unused = not model.log and all(other is not model for _, other in self.followers)
        if unused:
            self.models = {key: one for key, one in self.models.items() if one is not model}

    @rule()
    def next_turn(self) -> None:
        """The reactor makes the calls that are due."""
        self.clock.advance(0)

    @rule(seconds=st.integers(1, 6))
    def let_pass(self, seconds: int) -> None:
        """Time passes, with what is done every second."""
        for _ in range(seconds):
            self.clock.advance(1)
            now = self.clock.seconds()
            for channel_id, model in tuple(self.models.items()):
                self.expire(channel_id, model, now)
            self.hub.expire()

    def expire(self, channel_id: str, model: Model, now: float) -> None:
        """End or remove a channel if it is due."""
        if model.end is not None:
            if now >= model.since + 4:
                del self.models[channel_id]
                self.forgotten[channel_id] = model.end
        elif model.failed and now >= model.since + 2:
            model.close(End.FAILED, now)
        elif model.log and now >= model.since + 5:
            model.close(End.EXPIRED, now)

    @invariant()
    def channels_are_those_of_the_model(self) -> None:
        """The hub has the channels of the models, with the same logs and ends."""
        expected = {key: (model.log, model.end) for key, model in self.models.items()}
        found = {key: (bytes(one.log), one.end) for key, one in self.hub.channels.items()}
        assert found == expected

    @invariant()
    def readers_have_what_they_took(self) -> None:
        """Each got the beginning of the log, and all of it if it could take it."""
        for follower, model in self.followers:
            assert model.log.startswith(follower.got)
            if follower.end is not None:
                assert (follower.got, follower.end) == (model.log, model.end)
            elif follower.room and not self.clock.getDelayedCalls():
                assert follower.got == model.log
                assert model.end is None

    def teardown(self) -> None:
        """In the end, every follower that is resumed gets everything."""
        for follower, _ in self.followers:
            if follower.end is None:
                follower.resume()
        self.clock.advance(0)
        assert not self.clock.getDelayedCalls()
        self.readers_have_what_they_took()


class AnyOrderTests(SynchronousTestCase):
    """Any order of events."""

    def test_as_the_model(self) -> None:
        """In any order of events, every follower gets each message once, in order, and the end."""
        run_state_machine_as_test(Machine, settings=settings(deadline=None, max_examples=60))
