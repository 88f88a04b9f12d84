"""The hub: all channels by id, and the one object that both sides of the monitor share.

It knows time by a clock that is given to it, and neither sockets, ZeroMQ, WebSocket nor YAML.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Protocol

from twisted.logger import Logger

from recodex_monitor.channels.channel import Channel, End, Subscription
from recodex_monitor.channels.counters import OTHER, Counts, Forgotten
from recodex_monitor.channels.message import FAILED, FINISHED, Message, finished, parse
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import Turns
from recodex_monitor.timing.throttle import Dropped
from recodex_monitor.timing.timeouts import Deadlines

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

_TIMES = 2**32 - 1  # what fits into Channel.times: 497 days in hundredths of a second

_FAILED_TEXT = parse([b"-", FAILED.encode()]).text


class NoRoom(Exception):
    """There are as many channels as there may be, and none of them can go."""


class Journal(Protocol):
    """What keeps channels beyond the life of this process; neither method raises."""

    def save(self, channels: Collection[Channel]) -> None:
        """Save what has been added to these channels, and their ends."""

    def forget(self, channel: Channel) -> None:
        """Keep this channel no longer."""


@dataclass(frozen=True)
class Bounds:
    """How long channels live, and how much there may be of them.

    Attributes:
        retention: seconds for which a channel is kept after its end.
        failed_grace: seconds after which FAILED, with nothing behind it, is the end.
        idle_timeout: seconds of silence after its last message that end a channel.
        max_channels: channels at a time.
        max_channel_messages: messages of a channel, besides its end.
        max_channel_bytes: bytes of a channel after which it takes its end only.
        max_history_bytes: the same for all channels together.
    """

    retention: float = 300
    failed_grace: float = 10
    idle_timeout: float = 3600
    max_channels: int = 100_000
    max_channel_messages: int = 100_000
    max_channel_bytes: int = 32 * 2**20
    max_history_bytes: int = 2**30


class Hub:
    """Channels by id: publish to them, subscribe to them, and let them end.

    Attributes:
        channels: all of them.
        bounds: may be replaced at any time.
        history_bytes: what all histories together take.
        on_delivered: called once with the seconds from reading messages to having them written
            to all readers who take them; to be called again, it must be set again.
    """

    def __init__(self, clock: Clock, bounds: Bounds, journal: Journal | None = None) -> None:
        """Make a hub without channels.

        Args:
            clock: a reactor, or in tests ``twisted.internet.task.Clock``.
            bounds: see Bounds.
            journal: told of every change before any reader is.
        """
        self.channels: dict[str, Channel] = {}
        self.bounds = bounds
        self.history_bytes = 0
        self.counts = Counts()
        self._commands = self.counts.commands
        self.on_delivered: Callable[[float], object] | None = None
        self._probed_at: float | None = None
        self.dropped = Dropped(_log, "message", clock.seconds)
        self.evicted = Dropped(_log, "channel", clock.seconds)
        self._clock = clock
        self._journal = journal
        self.failing = Deadlines[Channel](lambda: self.bounds.failed_grace)
        self.silent = Deadlines[Channel](lambda: self.bounds.idle_timeout)
        self.ended = Deadlines[Channel](lambda: self.bounds.retention)
        """Since when a channel's last message is FAILED; when its last came; when it ended."""
        # Who may read on, and before them those of an earlier turn: who asked for it, and the
        # readers of channels that have changed.
        self._ready: dict[Subscription, None] = {}
        self._changed: dict[Channel, None] = {}
        self._waking: deque[Subscription] = deque()
        self._flush = Turns(clock, self._wake_steps)
        self.expire = Turns(clock, self._expire_steps)
        """Ends channels that are due, forgets those kept long enough, and what is too much for the
        bounds; call it every second."""
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
        hundredths = int(now * 100)
        changed: dict[Channel, None] = {}
        for message in messages:
            channel = self._append(message, now, hundredths)
            if channel is not None:
                changed[channel] = None
        if changed:
            self.counts.last = now
            if self.on_delivered is not None and self._probed_at is None:
                self._probed_at = now
        if self._journal is not None:
            self._journal.save(changed)
        if more and now - self._held_since <= HOLD:
            self._held.update(changed)
            return
        self._held_since = now
        if self._held:
            self._held.update(changed)
            changed, self._held = self._held, {}
        if self._waking or self._ready or self._changed:
            self._changed.update(changed)
            self._flush()
        else:
            # Mostly there are few to wake, and nothing to begin a turn for.
            self._changed = changed
            if self._wake_some():
                self._flush()

    def restore(self, channels: Iterable[tuple[Channel, float]]) -> None:
        """Go on with channels of an earlier hub: the rest of their retention, silence, or grace.

        What the limits have no room for is forgotten.

        Args:
            channels: each with its age, the seconds since its end, 0 where it has none; the
                oldest first, and of the others the longest silent.
        """
        now = self._clock.seconds()
        for channel, age in channels:
            self.channels[channel.id] = channel
            channel.began = int(now * 100)
            self.history_bytes += len(channel.log)
            if channel.end is not None:
                self.ended.put(channel, now - age)
                continue
            self.silent.put(channel, now)
            if channel.log.endswith(_FAILED_TEXT):
                self.failing.put(channel, now)
        self.expire()

    def subscribe(self, channel_id: str, subscription: Subscription) -> None:
        """Follow a channel from the subscription's position on, whether it exists yet or not.

        The subscription is first woken by ``wake``, then by what is published.

        Raises:
            NoRoom: it does not exist, and there is no room for another.
        """
        subscription.channel = self._channel(channel_id)
        subscription.channel.subscriptions.add(subscription)
        subscription.since = self._clock.seconds()
        self.counts.joins(subscription)

    def wake(self, subscription: Subscription) -> None:
        """Let a subscription read on: it is new, or its reader takes more again."""
        if subscription.origin < 0:
            subscription.origin = subscription.position
        self._ready[subscription] = None
        self._flush()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Follow no longer; does nothing the second time.

        A channel to which nothing was published goes with its last subscription.
        """
        channel = subscription.channel
        subscription.waits = True
        if subscription in channel.subscriptions:
            channel.subscriptions.discard(subscription)
            self.counts.leaves(subscription)
        if not channel.log and not channel.subscriptions:
            self._forget(channel)

    def _expire_steps(self) -> Iterator[None]:
        now = self._clock.seconds()
        for channel in self.failing.pop_due(now):
            self._close(channel, End.FAILED, now)
            yield
        for channel in self.silent.pop_due(now):
            self._close(channel, End.EXPIRED, now)
            yield
        for channel in self.ended.pop_due(now):
            self._forget(channel)
            yield
        # Both bounds may have been higher.
        while len(self.channels) > self.bounds.max_channels and self._evict("max_channels"):
            yield
        too_much = "max_history_bytes"
        while self.history_bytes > self.bounds.max_history_bytes and self._evict(too_much):
            yield
        self._flush()

    def _channel(self, channel_id: str) -> Channel:
        channel = self.channels.get(channel_id)
        if channel is None:
            if len(self.channels) >= self.bounds.max_channels and not self._evict("max_channels"):
                self.counts.limits["max_channels"] += 1
                raise NoRoom(f"max_channels, which left no room for {channel_id!r}")
            channel = self.channels[channel_id] = Channel(channel_id)
            channel.began = int(self._clock.seconds() * 100)
        return channel

    def _append(self, message: Message, now: float, hundredths: int) -> Channel | None:
        """Add a message; returns the channel if somebody may have something to read in it."""
        command = message.command
        try:
            self._commands[command] += 1
        except KeyError:
            self._commands[OTHER] += 1
        try:
            channel = self.channels.get(message.channel_id) or self._channel(message.channel_id)
        except NoRoom as error:
            self.dropped.add("no room", error)
            return None
        if channel.end is not None:
            self.dropped.add("channel ended", f"the end of channel {channel.id!r}")
            return None
        bounds = self.bounds
        has_room = (
            channel.count < bounds.max_channel_messages
            and len(channel.log) < bounds.max_channel_bytes
            and self.history_bytes < bounds.max_history_bytes
        )
        if has_room or command == FINISHED or self._make_room(channel):
            self.history_bytes += channel.append(message.text)
            channel.times.append(hundredths - channel.began & _TIMES)
        if command == FINISHED:
            self._end(channel, End.FINISHED, now)
            return channel
        self.silent.put(channel, now)
        if command == FAILED:
            self.failing.put(channel, now)
        elif channel in self.failing:
            self.failing.discard(channel)
        return channel

    def _make_room(self, channel: Channel) -> bool:
        """Make room for more than a channel's end; returns whether there is some now."""
        reached = self._limit_reached(channel)
        if reached is None:
            return True
        self.counts.limits[reached] += 1
        if not channel.is_full:
            channel.is_full = True
            text = "channel {channel!r} takes only its end any more, by {limit}"
            _log.warn(text, channel=channel.id, limit=reached)
        self.dropped.add("channel full", f"{reached}, which channel {channel.id!r} has reached")
        return False

    def _limit_reached(self, channel: Channel) -> str | None:
        if channel.count >= self.bounds.max_channel_messages:
            return "max_channel_messages"
        if len(channel.log) >= self.bounds.max_channel_bytes:
            return "max_channel_bytes"
        full = self.history_bytes >= self.bounds.max_history_bytes
        if full and not self._evict("max_history_bytes", channel):
            return "max_history_bytes"
        return None

    def _evict(self, limit: str, keep: Channel | None = None) -> bool:
        """Forget the channel that is missed least, but not ``keep``; False if there is none.

        Ended ones go first, the oldest first, unless a reader has not got all; then running ones
        that nobody follows, the longest silent first.
        """
        ended = islice(self.ended, EVICTION_LOOKS)
        running = islice(self.silent, EVICTION_LOOKS)
        for channel in chain(ended, running):
            missed = any(channel.end is None or one.behind for one in channel.subscriptions)
            if not missed and channel is not keep:
                self.counts.limits[limit] += 1
                self.evicted.add(limit, f"{limit}, which left no room for {channel.id!r}")
                self._forget(channel)
                return True
        return False

    def _close(self, channel: Channel, end: End, now: float) -> None:
        """End a channel that the broker has left open, as if it had said FINISHED."""
        self.history_bytes += channel.append(finished(channel.id).text)
        channel.times.append(int(now * 100) - channel.began & _TIMES)
        self._end(channel, end, now)
        if self._journal is not None:
            self._journal.save((channel,))
        self._changed[channel] = None

    def _end(self, channel: Channel, end: End, now: float) -> None:
        channel.end = end
        self.counts.ends[end.value] += 1
        self.failing.discard(channel)
        self.silent.discard(channel)
        self.ended.put(channel, now)
        _log.info("channel {channel!r} ended: {end}", channel=channel.id, end=end.value)

    def _forget(self, channel: Channel) -> None:
        if self.channels.get(channel.id) is channel:
            del self.channels[channel.id]
            if channel.count:
                end = channel.end and channel.end.value
                self.counts.forgotten.append(Forgotten(channel.id, end, self._clock.seconds()))
            if self._journal is not None:
                self._journal.forget(channel)
            self.history_bytes -= len(channel.log)
            for deadlines in (self.failing, self.silent, self.ended):
                deadlines.discard(channel)

    def _wake_steps(self) -> Iterator[None]:
        while self._wake_some():
            yield

    def _wake_some(self) -> bool:
        """Wake as many as one step may; returns whether there are more."""
        waking = self._waking
        if not waking:
            if self._ready:
                waking.extend(self._ready)
                self._ready.clear()
            for channel in self._changed:
                waking.extend(channel.subscriptions)
            self._changed.clear()
        for _ in range(min(WAKES, len(waking))):
            subscription = waking.popleft()
            try:
                if not subscription.waits and subscription.wake():
                    self._ready[subscription] = None
            except Exception:
                _log.failure("a reader of {channel!r} failed", channel=subscription.channel.id)
                self._abandon(subscription)
        if waking or self._ready or self._changed:
            return True
        if self._probed_at is not None and not self._held:
            self._delivered(self._probed_at)
        return False

    def _delivered(self, read_at: float) -> None:
        told, self.on_delivered, self._probed_at = self.on_delivered, None, None
        if told is not None:
            told(self._clock.seconds() - read_at)

    def _abandon(self, subscription: Subscription) -> None:
        """Be done with a subscription whose failure must not reach the others."""
        self.unsubscribe(subscription)
        try:
            subscription.abandon()
        except Exception:
            _log.failure("abandoning a reader failed")
