"""The hub: all channels by id, and the one object that both sides of the monitor share.

It knows time by a clock that is given to it, and neither sockets, ZeroMQ, WebSocket nor YAML.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from twisted.logger import Logger

from recodex_monitor.channel import Channel, End, Subscription
from recodex_monitor.clock import Clock
from recodex_monitor.deadlines import Deadlines
from recodex_monitor.dropped import Dropped
from recodex_monitor.messages import FAILED, FINISHED, Message, finished
from recodex_monitor.turns import Turns

_log = Logger()

HOLD = 0.1
"""Seconds for which messages may wait for those behind them, while they come faster than we read.

In a flood over 2000 channels every write then has several messages, which cuts the cost of a
delivery by a third, and with it the time that the last of them waits.
"""

WAKES = 16
"""Subscriptions that are woken between two looks at the time."""

EVICTION_LOOKS = 100
"""Channels that are looked at to find one that can go; the oldest hardly ever cannot."""


class NoRoom(Exception):
    """There are as many channels as there may be, and none of them can go."""


class Hub:
    """Channels by id: publish to them, subscribe to them, and let them end."""

    def __init__(
        self,
        clock: Clock,
        *,
        retention: float = 300,
        failed_grace: float = 10,
        idle_timeout: float = 3600,
        max_channels: int = 100_000,
        max_channel_messages: int = 100_000,
        max_channel_bytes: int = 32 * 2**20,
        max_history_bytes: int = 2**30,
    ) -> None:
        """Make a hub without channels.

        Args:
            clock: a reactor, or in tests ``twisted.internet.task.Clock``.
            retention: seconds for which a channel is kept after its end.
            failed_grace: seconds after which FAILED, with nothing behind it, is the end.
            idle_timeout: seconds of silence after its last message that end a channel.
            max_channels: channels at a time.
            max_channel_messages: messages of a channel, besides its end.
            max_channel_bytes: bytes of a channel after which it takes its end only.
            max_history_bytes: the same for all channels together.
        """
        self.channels: dict[str, Channel] = {}
        self.history_bytes = 0
        self.dropped = Dropped(_log, "message", clock.seconds)
        self.evicted = Dropped(_log, "channel", clock.seconds)
        self._max_channels = max_channels
        self._max_channel_messages = max_channel_messages
        self._max_channel_bytes = max_channel_bytes
        self._max_history_bytes = max_history_bytes
        self._clock = clock
        self._failing = Deadlines[Channel](failed_grace)
        self._silent = Deadlines[Channel](idle_timeout)
        self._ended = Deadlines[Channel](retention)
        # Who may read on, and before them those of an earlier turn: who asked for it, and the
        # readers of channels that have changed.
        self._ready: dict[Subscription, None] = {}
        self._changed: dict[Channel, None] = {}
        self._waking: deque[Subscription] = deque()
        self._flush = Turns(clock, self._wake_steps)
        self.expire = Turns(clock, self._expire_steps)
        """Ends channels that are due, forgets those kept long enough; call it every second."""
        # Channels whose readers have to wait while more messages follow, and since when.
        self._held: dict[Channel, None] = {}
        self._held_since = clock.seconds()

    def publish(self, messages: Iterable[Message], *, more: bool = False) -> None:
        """Add messages to their channels and wake who follows them.

        What comes for a channel after its end is dropped.

        Args:
            messages: in their order.
            more: others are about to follow, so that waking may wait for them, HOLD at most;
                the last call must say that there are no more, even with no messages.
        """
        now = self._clock.seconds()
        held = self._held
        for message in messages:
            channel = self._append(message, now)
            if channel is not None and channel.subscriptions:
                held[channel] = None
        if not more or now - self._held_since > HOLD:
            self._held_since = now
            self._changed.update(held)
            held.clear()
            self._flush()

    def subscribe(self, channel_id: str, subscription: Subscription) -> None:
        """Follow a channel from the subscription's position on, whether it exists yet or not.

        The subscription is first woken by ``wake``, then by what is published.

        Raises:
            NoRoom: it does not exist, and there is no room for another.
        """
        subscription.channel = self._channel(channel_id)
        subscription.channel.subscriptions.add(subscription)

    def wake(self, subscription: Subscription) -> None:
        """Let a subscription read on: it is new, or its reader takes more again."""
        self._ready[subscription] = None
        self._flush()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Follow no longer; does nothing the second time.

        A channel to which nothing was published goes with its last subscription.
        """
        channel = subscription.channel
        subscription.waits = True
        channel.subscriptions.discard(subscription)
        if not channel.log and not channel.subscriptions:
            self._forget(channel)

    def _expire_steps(self) -> Iterator[None]:
        now = self._clock.seconds()
        for channel in self._failing.pop_due(now):
            self._close(channel, End.FAILED, now)
            yield
        for channel in self._silent.pop_due(now):
            self._close(channel, End.EXPIRED, now)
            yield
        for channel in self._ended.pop_due(now):
            self._forget(channel)
            yield
        self._flush()

    def _channel(self, channel_id: str) -> Channel:
        channel = self.channels.get(channel_id)
        if channel is None:
            if len(self.channels) >= self._max_channels and not self._evict("max_channels"):
                raise NoRoom(f"max_channels, which left no room for {channel_id!r}")
            channel = self.channels[channel_id] = Channel(channel_id)
        return channel

    def _append(self, message: Message, now: float) -> Channel | None:
        """Add a message; returns the channel if somebody may have something to read in it."""
        try:
            channel = self._channel(message.channel_id)
        except NoRoom as error:
            self.dropped.add("no room", error)
            return None
        if channel.end is not None:
            self.dropped.add("channel ended", f"the end of channel {channel.id!r}")
            return None
        command = message.command
        if command == FINISHED or self._has_room(channel):
            self.history_bytes += channel.append(message.text)
        if command == FINISHED:
            self._end(channel, End.FINISHED, now)
            return channel
        self._silent.put(channel, now)
        if command == FAILED:
            self._failing.put(channel, now)
        else:
            self._failing.discard(channel)
        return channel

    def _has_room(self, channel: Channel) -> bool:
        """Whether a channel may take more than its end; makes room for it if need be."""
        if (
            channel.count < self._max_channel_messages
            and len(channel.log) < self._max_channel_bytes
            and self.history_bytes < self._max_history_bytes
        ):
            return True
        reached = self._limit_reached(channel)
        if reached is None:
            return True
        if not channel.is_full:
            channel.is_full = True
            text = "channel {channel!r} takes only its end any more, by {limit}"
            _log.warn(text, channel=channel.id, limit=reached)
        self.dropped.add("channel full", f"{reached}, which channel {channel.id!r} has reached")
        return False

    def _limit_reached(self, channel: Channel) -> str | None:
        if channel.count >= self._max_channel_messages:
            return "max_channel_messages"
        if len(channel.log) >= self._max_channel_bytes:
            return "max_channel_bytes"
        full = self.history_bytes >= self._max_history_bytes
        if full and not self._evict("max_history_bytes", channel):
            return "max_history_bytes"
        return None

    def _evict(self, limit: str, keep: Channel | None = None) -> bool:
        """Forget the channel that is missed least, but not ``keep``; False if there is none.

        Ended ones go first, the oldest first, unless a reader has not got all; then running ones
        that nobody follows, the longest silent first.
        """
        ended = islice(self._ended, EVICTION_LOOKS)
        running = islice(self._silent, EVICTION_LOOKS)
        for channel in chain(ended, running):
            missed = any(channel.end is None or one.behind for one in channel.subscriptions)
            if not missed and channel is not keep:
                self.evicted.add(limit, f"{limit}, which left no room for {channel.id!r}")
                self._forget(channel)
                return True
        return False

    def _close(self, channel: Channel, end: End, now: float) -> None:
        """End a channel that the broker has left open, as if it had said FINISHED."""
        self.history_bytes += channel.append(finished(channel.id).text)
        self._end(channel, end, now)
        self._changed[channel] = None

    def _end(self, channel: Channel, end: End, now: float) -> None:
        channel.end = end
        self._failing.discard(channel)
        self._silent.discard(channel)
        self._ended.put(channel, now)
        _log.info("channel {channel!r} ended: {end}", channel=channel.id, end=end.value)

    def _forget(self, channel: Channel) -> None:
        if self.channels.get(channel.id) is channel:
            del self.channels[channel.id]
            self.history_bytes -= len(channel.log)
            for deadlines in (self._failing, self._silent, self._ended):
                deadlines.discard(channel)

    def _wake_steps(self) -> Iterator[None]:
        waking = self._waking
        while waking or self._ready or self._changed:
            if not waking:
                self._next_readers()
            for _ in range(min(WAKES, len(waking))):
                subscription = waking.popleft()
                try:
                    if not subscription.waits and subscription.wake():
                        self._ready[subscription] = None
                except Exception:
                    _log.failure("a reader of {id!r} failed", id=subscription.channel.id)
                    self._abandon(subscription)
            if waking or self._ready or self._changed:
                yield

    def _next_readers(self) -> None:
        """Let all be woken who may read on now."""
        self._waking.extend(self._ready)
        self._ready.clear()
        for channel in self._changed:
            self._waking.extend(channel.subscriptions)
        self._changed.clear()

    def _abandon(self, subscription: Subscription) -> None:
        """Be done with a subscription whose failure must not reach the others."""
        self.unsubscribe(subscription)
        try:
            subscription.abandon()
        except Exception:
            _log.failure("abandoning a reader failed")
