"""The hub: all channels by id, and the one object that both sides of the monitor share.

It knows time by a clock that is given to it, and neither sockets, ZeroMQ, WebSocket nor YAML.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.logger import Logger

from recodex_monitor.channel import Channel, End, Subscriber, Subscription
from recodex_monitor.deadlines import Deadlines
from recodex_monitor.dropped import Dropped
from recodex_monitor.messages import FAILED, FINISHED, Message, finished

_log = Logger()

TURN = 0.005
"""Seconds for which subscribers are woken before the reactor may do something else.

Waking 9000 subscribers takes some 40 ms; others must not wait for that.
"""


class Clock(Protocol):
    """What the hub needs of a reactor."""

    def seconds(self) -> float:
        """The time in seconds, never going back."""

    def callLater(self, delay: float, callable: Callable[..., Any]) -> Any:  # noqa: A002
        """Call ``callable`` in ``delay`` seconds, in a turn of its own."""


class Hub:
    """Channels by id: publish to them, subscribe to them, and let them end."""

    def __init__(
        self,
        clock: Clock,
        *,
        retention: float = 300,
        failed_grace: float = 10,
        idle_timeout: float = 3600,
    ) -> None:
        """Make a hub without channels.

        Args:
            clock: a reactor, or in tests ``twisted.internet.task.Clock``.
            retention: seconds for which a channel is kept after its end.
            failed_grace: seconds after which FAILED, with nothing behind it, is the end.
            idle_timeout: seconds of silence after its last message that end a channel.
        """
        self.channels: dict[str, Channel] = {}
        self.dropped = Dropped(_log, "message", clock.seconds)
        self._clock = clock
        self._failing = Deadlines[Channel](failed_grace)
        self._silent = Deadlines[Channel](idle_timeout)
        self._ended = Deadlines[Channel](retention)
        # Who may have something to read, in the order in which they are woken.
        self._ready: OrderedDict[Subscription, None] = OrderedDict()
        self._flush_scheduled = False

    def publish(self, messages: Iterable[Message]) -> None:
        """Add messages to their channels and wake who follows them.

        What comes for a channel after its end is dropped.
        """
        now = self._clock.seconds()
        changed = {self._append(message, now) for message in messages}
        for channel in changed:
            if channel is not None:
                self._ready.update(dict.fromkeys(channel.subscriptions))
        self._flush()

    def subscribe(self, channel_id: str, subscriber: Subscriber) -> Subscription:
        """Follow a channel from its first message on, whether it exists yet or not.

        The subscriber is first woken by ``wake``, then by what is published.
        """
        subscription = Subscription(self._channel(channel_id), subscriber)
        subscription.channel.subscriptions.add(subscription)
        return subscription

    def wake(self, subscription: Subscription) -> None:
        """Let the subscriber read on: it is new, or its reader takes more again."""
        self._ready[subscription] = None
        self._flush()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Follow no longer; does nothing the second time.

        A channel to which nothing was published goes with its last subscriber.
        """
        channel = subscription.channel
        channel.subscriptions.discard(subscription)
        self._ready.pop(subscription, None)
        if not channel.log and not channel.subscriptions:
            self._forget(channel)

    def expire(self) -> None:
        """End the channels that are due, forget those kept long enough; call it every second."""
        now = self._clock.seconds()
        for channel in self._failing.pop_due(now):
            self._close(channel, End.FAILED, now)
        for channel in self._silent.pop_due(now):
            self._close(channel, End.EXPIRED, now)
        for channel in self._ended.pop_due(now):
            self._forget(channel)
        self._flush()

    def _channel(self, channel_id: str) -> Channel:
        channel = self.channels.get(channel_id)
        if channel is None:
            channel = self.channels[channel_id] = Channel(channel_id)
        return channel

    def _append(self, message: Message, now: float) -> Channel | None:
        channel = self._channel(message.channel_id)
        if channel.end is not None:
            self.dropped.add("channel ended", f"the end of channel {message.channel_id!r}")
            return None
        channel.append(message.text)
        if message.command == FINISHED:
            self._end(channel, End.FINISHED, now)
            return channel
        self._silent.put(channel, now)
        if message.command == FAILED:
            self._failing.put(channel, now)
        else:
            self._failing.discard(channel)
        return channel

    def _close(self, channel: Channel, end: End, now: float) -> None:
        """End a channel that the broker has left open, as if it had said FINISHED."""
        channel.append(finished(channel.id).text)
        self._end(channel, end, now)
        self._ready.update(dict.fromkeys(channel.subscriptions))

    def _end(self, channel: Channel, end: End, now: float) -> None:
        channel.end = end
        self._failing.discard(channel)
        self._silent.discard(channel)
        self._ended.put(channel, now)
        _log.info("channel {channel!r} ended: {end}", channel=channel.id, end=end.value)

    def _forget(self, channel: Channel) -> None:
        if self.channels.get(channel.id) is channel:
            del self.channels[channel.id]

    def _flush(self) -> None:
        """Wake who is ready, unless a later turn will do it anyway."""
        if not self._flush_scheduled:
            self._wake_ready()

    def _wake_ready(self) -> None:
        self._flush_scheduled = False
        deadline = self._clock.seconds() + TURN
        while self._ready:
            if self._clock.seconds() > deadline:
                self._flush_scheduled = True
                self._clock.callLater(0, self._wake_ready)
                return
            subscription, _ = self._ready.popitem(last=False)
            if self._wake(subscription):
                self._ready[subscription] = None

    def _wake(self, subscription: Subscription) -> bool:
        """Wake one, whose failure must not reach the others."""
        try:
            return subscription.subscriber.wake()
        except Exception:
            _log.failure("a subscriber of {channel!r} failed", channel=subscription.channel.id)
            self.unsubscribe(subscription)
        try:
            subscription.subscriber.abandon()
        except Exception:
            _log.failure("abandoning a subscriber failed")
        return False
