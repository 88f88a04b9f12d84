"""The hub: the broker's side publishes to channels, the clients' side subscribes to them.

It is the one object that both sides share. It is given a clock, and knows neither sockets nor
ZeroMQ, WebSocket or YAML.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from twisted.logger import Logger

from recodex_monitor.channels.channel import Channel, End, Subscription
from recodex_monitor.channels.counters import OTHER, Counters
from recodex_monitor.channels.message import FAILED, FINISHED, Message
from recodex_monitor.channels.reserve import may_exceed
from recodex_monitor.channels.retention import Journal, NoRoom, Retention
from recodex_monitor.channels.source import LocalSource, Source
from recodex_monitor.channels.tombstones import Tombstone
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import TimeSlices
from recodex_monitor.timing.throttle import ThrottledCounts

_log = Logger()

MAX_HOLD = 0.1
"""Seconds for which followers may wait for more messages, while those arrive faster than we read.

In a flood over 2000 channels each write then has several messages. That saves a third of the cost
of a delivery, and so shortens the wait for the last message.
"""

WAKES = 16
"""Subscriptions that are woken between two looks at the clock."""


class Publish(Protocol):
    """What takes the broker's messages: ``Hub.publish``, or something around it."""

    def __call__(self, messages: list[Message], *, more: bool = False) -> None:
        """Publish messages, in their order; ``more`` are about to follow."""


class Hub:
    """Publishes messages to channels, and wakes those who follow them.

    Attributes:
        channels: all channels by id, those of ``retention``.
        retention: decides how long channels are kept.
        source: has the channels' messages loaded before somebody subscribes.
        settings: the timeouts and limits of channels.
        counters: the totals since the start.
        dropped: messages that were not added to a channel, by reason.
        on_delivered: called once, with the seconds from the reading of messages until they were
            passed to all subscriptions that can take more. Set it again to be called again.
        expire: ends and removes channels that are due; to be called every second.
    """

    def __init__(
        self, clock: Clock, settings: LiveSettings, journal: Journal | None = None
    ) -> None:
        """Begin without channels.

        Args:
            clock: a reactor, or in tests ``twisted.internet.task.Clock``.
            settings: have the timeouts and limits of channels.
            journal: saves every change before any follower gets it; None where there is none.
        """
        self.settings = settings
        self.counters = Counters()
        self.retention = Retention(clock, settings, self.counters, journal)
        self.channels = self.retention.channels
        self._trials = self.retention.trials
        self.source: Source = LocalSource()
        self.dropped = ThrottledCounts(_log, "message", clock.seconds)
        self.on_delivered: Callable[[float], object] | None = None
        self.expire = TimeSlices(clock, self._expire_steps)
        self._commands = self.counters.commands
        self._clock = clock
        self._journal = journal
        self._measured_from: float | None = None
        # Who is to be woken next: the rest of an earlier round first, then whoever asked for it,
        # then the followers of channels that have changed.
        self._waking: deque[Subscription] = deque()
        self._ready: dict[Subscription, None] = {}
        self._changed: dict[Channel, None] = {}
        self._flush = TimeSlices(clock, self._wake_steps)
        # Channels that have changed, whose followers wait while more messages arrive.
        self._held: dict[Channel, None] = {}
        self._held_since = clock.seconds()

    def publish(self, messages: Iterable[Message], *, more: bool = False) -> None:
        """Add messages to their channels and wake the followers of those.

        A message for a channel that has ended is dropped, and so is one that a limit leaves no
        room for.

        Args:
            messages: in the order in which they came.
            more: more messages are about to follow, so the followers may wait for them, for
                MAX_HOLD seconds at most. The last call must say that there are no more, even if it
                has no messages.
        """
        now = self._clock.seconds()
        hundredths = int(now * 100)
        changed: dict[Channel, None] = {}
        for message in messages:
            channel = self._append(message, now, hundredths)
            if channel is not None:
                changed[channel] = None
        if changed:
            if not self._trials or not changed.keys() <= self._trials.keys():
                self.counters.last = now
            if self.on_delivered is not None and self._measured_from is None:
                self._measured_from = now
        if self._journal is not None:
            self._journal.save(self._trials.kept_out(changed))
        self.pass_on(changed, now, more=more)

    def pass_on(self, changed: dict[Channel, None], now: float, *, more: bool = False) -> None:
        """Wake the followers of channels that have changed; see ``publish``."""
        if more and now - self._held_since <= MAX_HOLD:
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
            # Usually few are to be woken, which needs no time slices.
            self._changed = changed
            if self._wake_some():
                self._flush()

    def restore(
        self, channels: Iterable[tuple[Channel, float]], tombstones: Iterable[Tombstone] = ()
    ) -> None:
        """Go on with the channels of an earlier run; see ``Retention.restore``.

        Those for which the limits leave no room are removed.
        """
        self.retention.restore(channels, tombstones)
        self.expire()

    def subscribe(self, channel_id: str, subscription: Subscription) -> None:
        """Follow a channel from the subscription's position on, whether it exists yet or not.

        Of a channel that had ended and is no longer kept, the end is all that is read. The
        subscription is first woken by ``wake``, and from then on by what is published.
        To be called by what ``source.when_loaded`` calls.

        Raises:
            NoRoom: the channel does not exist, and there is no room for another.
        """
        channel = self.retention.find(channel_id) or self.retention.open(channel_id)
        subscription.channel = channel
        channel.subscriptions.add(subscription)
        subscription.since = self._clock.seconds()
        if not channel.is_trial:
            self.counters.subscribed(subscription)

    def wake(self, subscription: Subscription) -> None:
        """Let a subscription read on: it is new, or can take more again."""
        if subscription.start_position < 0:
            subscription.start_position = subscription.position
        self._ready[subscription] = None
        self._flush()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop following; does nothing the second time.

        A channel to which nothing was published is removed with its last subscription.
        """
        channel = subscription.channel
        subscription.is_paused = True
        if subscription in channel.subscriptions:
            channel.subscriptions.discard(subscription)
            if not channel.is_trial:
                self.counters.unsubscribed(subscription)
        if not channel.subscriptions:
            self.source.unfollowed(channel)
            if not channel.log:
                self.retention.remove(channel)

    def _expire_steps(self) -> Iterator[None]:
        for channel in self.retention.expire():
            if channel is not None:
                self._changed[channel] = None
            yield
        self._flush()

    def _append(self, message: Message, now: float, hundredths: int) -> Channel | None:
        """Add a message; returns the channel if its followers may have something to read."""
        command, retention = message.command, self.retention
        try:
            channel = self.channels.get(message.channel_id) or retention.open(message.channel_id)
        except NoRoom as error:
            self._commands[command if command in self._commands else OTHER] += 1
            self.dropped.add("no room", error)
            return None
        if channel.is_trial:
            return self._append_trial(channel, message, now)
        try:
            self._commands[command] += 1
        except KeyError:
            self._commands[OTHER] += 1
        if channel.end is not None:
            self.dropped.add("channel ended", f"the end of channel {channel.id!r}")
            return None
        # As Retention.limit_reached has it; a call for each message would cost too much.
        limits = self.settings.limits
        has_room = (
            channel.count < limits.max_channel_messages
            and len(channel.log) < limits.max_channel_bytes
            and retention.history_bytes < limits.max_history_bytes
        )
        if has_room or command == FINISHED or self._make_room(channel, command):
            retention.history_bytes += channel.append(message.text, hundredths)
        if command == FINISHED:
            retention.end(channel, End.FINISHED, now)
            return channel
        retention.running.put(channel, now)
        if command == FAILED:
            retention.failing.put(channel, now)
        elif channel in retention.failing:
            retention.go_on(channel, command, now)
        return channel

    def _append_trial(self, channel: Channel, message: Message, now: float) -> Channel | None:
        if channel.end is not None:
            return None
        self._trials.begins(channel)
        self.retention.history_bytes += channel.append(message.text, int(now * 100))
        self._trials.heard(channel, now)
        if message.command == FINISHED:
            self.retention.end(channel, End.FINISHED, now)
        return channel

    def _make_room(self, channel: Channel, command: str) -> bool:
        """Make room for another message of a channel; returns whether there is some now."""
        limit = self.retention.limit_reached(channel)
        limits, history_bytes = self.settings.limits, self.retention.history_bytes
        if limit is None or may_exceed(channel, command, limits, history_bytes):
            return True
        self.counters.limits[limit] += 1
        if not channel.is_full:
            channel.is_full = True
            text = "channel {channel!r} is full by {limit}: only its outcome and end will be added"
            _log.warn(text, event="channel_full", channel=channel.id, limit=limit)
        self.dropped.add("channel full", f"{limit}, which channel {channel.id!r} has reached")
        return False

    def _wake_steps(self) -> Iterator[None]:
        while self._wake_some():
            yield

    def _wake_some(self) -> bool:
        """Wake WAKES subscriptions at most; returns whether there are more."""
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
                if not subscription.is_paused and subscription.wake():
                    self._ready[subscription] = None
            except Exception:
                _log.failure(
                    "a subscription to {channel!r} failed", channel=subscription.channel.id
                )
                self._abandon(subscription)
        if waking or self._ready or self._changed:
            return True
        if self._measured_from is not None and not self._held:
            self._report_delay(self._measured_from)
        return False

    def _report_delay(self, since: float) -> None:
        report, self.on_delivered, self._measured_from = self.on_delivered, None, None
        if report is not None:
            report(self._clock.seconds() - since)

    def _abandon(self, subscription: Subscription) -> None:
        """End a subscription that has failed, so that its failure does not reach the others."""
        self.unsubscribe(subscription)
        try:
            subscription.abandon()
        except Exception:
            _log.failure("abandoning a subscription failed")
