"""The publisher: the owner's side of the engine, which keeps messages until they are pushed."""

from collections.abc import Callable, Iterable
from importlib.resources import files

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.channels.message import Message, finished
from recodex_monitor.relay.connection import EngineAway, EngineError, Word
from recodex_monitor.relay.engine import Commands, Script
from recodex_monitor.relay.intake import Intake
from recodex_monitor.relay.layout import Batch, Keys
from recodex_monitor.relay.mirror import Mirror
from recodex_monitor.relay.pending import OTHER_EPOCH, Pending, Push
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.retry import Retry

_log = Logger()

END_KEPT = 86_400
"""Seconds for which the engine knows how a channel ended."""

LEAST_TTL = 10_000
"""Milliseconds for which the engine keeps an ended channel at least, so that all edges read it."""

PUSH = Script((files("recodex_monitor.relay") / "push.lua").read_text())


class Publisher:
    """Pushes what the intake has, one call at a time; what comes meanwhile goes with the next.

    Attributes:
        intake: keeps what is not acknowledged.
        token: of this owner; None while it may not push.
        pushes: calls that were acknowledged.
        pushed: messages that were acknowledged.
        conflicts: streams of other epochs that were found.
        late: the ids of entries of the list of late messages that are in the intake, and still in
            the list, from its first one on.
        on_fenced: called when another node owns.
        on_lost: called when the engine has lost what makes this node the owner.
        on_settled: called when nothing is waiting any more.
        on_late: called when late messages come first, and when more of them may be inserted.
    """

    def __init__(
        self, engine: Commands, keys: Keys, mirror: Mirror, settings: LiveSettings, clock: Clock
    ) -> None:
        """Begin with nothing to push, and without the right to."""
        self.intake = Intake(mirror.hub, settings)
        self.token: str | None = None
        self.pushes = self.pushed = self.conflicts = 0
        self.late: list[bytes] = []
        self.on_fenced: Callable[[], object] = lambda: None
        self.on_lost: Callable[[], object] = lambda: None
        self.on_settled: Callable[[], object] = lambda: None
        self.on_late: Callable[[], object] = lambda: None
        self._engine = engine
        self._keys = keys
        self._mirror = mirror
        self._settings = settings
        self._clock = clock
        self._in_flight = False
        self._settled: list[Deferred[None]] = []
        text = "the engine takes no messages; until it does, they wait in memory"
        working = "the engine takes messages again; none is lost"
        self._retry = Retry(_log, clock, "engine_push", text, working)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is waiting for the engine."""
        return not self.intake.pending and not self.late and not self._in_flight

    @property
    def is_ready(self) -> bool:
        """Whether late messages may be inserted."""
        return not self._in_flight and not self.late and self.intake.is_ready

    def publish(self, messages: Iterable[Message], *, more: bool = False) -> None:
        """Take the broker's messages, which followers get once the engine has them."""
        for message in messages:
            self.intake.add(message)
        self.flush()

    def end(self, channel: Channel, end: End) -> None:
        """End a channel whose time is up, unless messages of it are waiting."""
        if channel.id not in self.intake.pending:
            self.intake.add(finished(channel.id), end)
            self.flush()

    def begin(self, token: str, *, asks: bool) -> None:
        """Push from now on.

        Args:
            token: of this owner.
            asks: whether to ask first what the engine has of every channel, and push again what it
                has lost.
        """
        self.token = token
        for channel in self._mirror.hub.channels.values() if asks else ():
            if channel.count:
                self.intake.open(channel).is_known = False
        for pending in self.intake.pending.values():
            pending.is_known = False
        self.flush()
        self._tell_settled()

    def cease(self) -> list[Pending]:
        """Stop pushing; returns what was not acknowledged."""
        self.token = None
        self.late = []
        self.intake.is_held = False
        return self.intake.take_all()

    def settled(self) -> "Deferred[None]":
        """Fires when nothing is waiting for the engine; fails if this node no longer owns."""
        if self.is_settled:
            return succeed(None)
        self._settled.append(Deferred())
        return self._settled[-1]

    def tick(self) -> None:
        """Try again what has failed; to be called every second."""
        if self._retry.may_try:
            self.flush()

    def flush(self) -> None:
        """Push what is waiting, unless a call is in flight or none is allowed."""
        if self._in_flight or self.token is None or not (self.intake.pending or self.late):
            return
        if not self._retry.may_try:
            return
        late = self.late if self.late and self.intake.is_ready else []
        pushes = self.intake.next_late() if late else self.intake.next()
        if not pushes and not late:
            return
        keys = [self._keys.fence, self._keys.late, self._keys.yielding]
        streams = [self._keys.stream(push.pending.channel_id) for push in pushes]
        self._in_flight = True
        has_own = not late and any(push.has_own for push in pushes)
        head = _head(self.token, late, self._settings, self._keys)
        values = [*head, int(has_own), *(value for push in pushes for value in push.values())]
        call = self._engine.run(PUSH, [*keys, *streams], values)
        call.addCallbacks(self._pushed, self._failed, (pushes, late))
        call.addErrback(self._broken)

    def _pushed(self, tops: list[int], pushes: list[Push], late: list[bytes]) -> None:
        self._in_flight = False
        self._retry.succeeded()
        self.pushes += 1
        pairs = [*zip(pushes, tops, strict=True)]
        if late and late is self.late and all(top >= push.last for push, top in pairs):
            self.late = []
            for push in pushes:
                push.pending.late.clear()
        batches = []
        for push, top in pairs:
            if not self.intake.has(push.pending):
                continue  # It was taken to be handed over; the new owner knows what has arrived.
            batch = self._acknowledged(push, top)
            if batch is not None:
                batches.append(batch)
                self.pushed += len(batch.texts)
                self.intake.size -= sum(map(len, batch.texts))
        self._mirror.apply(batches)
        for push in pushes:
            if self.intake.has(push.pending):
                self.intake.settle(push.pending)
        self.flush()
        if self.intake.is_held and self.is_ready:
            self.on_late()
        self._tell_settled()

    def _acknowledged(self, push: Push, top: int) -> Batch | None:
        pending = push.pending
        if top == OTHER_EPOCH:
            self.conflicts += 1
            text = "the engine has other messages of {id!r}, which are replaced by this owner's"
            _log.warn(text, id=pending.channel_id)
        elif top >= pending.first + len(pending.texts):
            self.conflicts += 1
            _renew(pending, self._mirror, self.intake)
            return None
        return pending.acknowledge(push, top)

    def _failed(self, failure: Failure, *_: object) -> None:
        self._in_flight = False
        error = failure.value
        if isinstance(error, EngineAway):
            return  # The next session begins with asking what has arrived.
        code = error.code if isinstance(error, EngineError) else ""
        if code == "LATE":
            self.intake.is_held = True
            self.on_late()
            self.flush()
            return
        if code in ("LOST", "FENCED"):
            self.token = None
            settled, self._settled = self._settled, []
            for deferred in settled:
                deferred.errback(error)
            (self.on_lost if code == "LOST" else self.on_fenced)()
            return
        self._retry.failed(error)

    def _broken(self, failure: Failure) -> None:
        self._in_flight = False
        _log.failure("pushing failed", failure=failure)
        self._retry.failed(failure.value)

    def _tell_settled(self) -> None:
        if self.is_settled:
            settled, self._settled = self._settled, []
            for deferred in settled:
                deferred.callback(None)
            self.on_settled()


def _renew(pending: Pending, mirror: Mirror, intake: Intake) -> None:
    """Take a new epoch for a channel of which the engine has more than its owner."""
    _log.error("the engine has more messages of {id!r} than its owner", id=pending.channel_id)
    channel = mirror.hub.channels.get(pending.channel_id)
    if channel is not None and channel.count:
        mirror.renew(channel)
        intake.replace(channel)


def _head(token: str, late: list[bytes], settings: LiveSettings, keys: Keys) -> list[Word]:
    """The arguments of push.lua that concern all streams."""
    ended = max(LEAST_TTL, int(settings.channels.retention * 1000))
    is_open = int(settings.channels.idle_timeout * 1000) + ended
    first = late[0] if late else b""
    return [token, is_open, ended, keys.ends, END_KEPT, len(late), len(keys.channels), first]
