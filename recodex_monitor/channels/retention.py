"""Retention: which channels there are, when time ends one, and which one goes to make room.

Three clocks run for a channel. After FAILED, silence for ``failed_grace`` ends it, unless another
attempt has begun; without FAILED, silence for ``idle_timeout`` does. An ended channel is removed
after its ``retention``. Where a limit is reached before that, a channel that nobody will miss is
evicted.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from typing import Protocol

from twisted.logger import Logger

from recodex_monitor.channels.attempts import BEGINNING, has_failed
from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.channels.counters import Counters
from recodex_monitor.channels.message import finished
from recodex_monitor.channels.tombstones import Tombstone, Tombstones
from recodex_monitor.channels.trials import Trials
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.throttle import ThrottledCounts
from recodex_monitor.timing.timeouts import Timeouts

_log = Logger()

EVICTION_CANDIDATES = 100
"""Channels of a kind that are examined to find one to evict; nearly always the oldest will do."""


class NoRoom(Exception):
    """There are ``max_channels`` channels, and none of them can be evicted."""


class Journal(Protocol):
    """What keeps channels beyond the life of this process; neither method raises."""

    def save(self, channels: Collection[Channel]) -> None:
        """Save what was added to these channels since the last call, and their ends."""

    def forget(self, channel: Channel, tombstone: Tombstone | None = None) -> None:
        """Stop keeping this channel; keep its tombstone instead, if there is one."""


class Retention:
    """All channels, and how long each is kept.

    Attributes:
        channels: by id.
        history_bytes: the size of all their logs together; whoever appends adds to it.
        failing: the channels for which FAILED came and no attempt began after it, with the time
            of the last message.
        running: all channels with messages and no end, with the time of the last message.
        ended: the channels that have ended, with the time of their end.
        tombstones: of the channels that were removed last.
        trials: those of ``recodex-monitor doctor``, which are in none of the above.
        evicted: evictions, by the limit that required them.
        on_due: called with a channel that time should end, and how, in place of ending it; None
            where this process alone decides.
        on_removed: called with each channel that was removed; may be None.
        spares: tells of a running channel that nobody follows here whether it must stay, too.
    """

    def __init__(
        self,
        clock: Clock,
        settings: LiveSettings,
        counters: Counters,
        journal: Journal | None = None,
    ) -> None:
        """Begin without channels.

        Args:
            clock: tells the time.
            settings: have the timeouts and limits of channels.
            counters: count ends, removals and limits that were reached.
            journal: saves the ends by time, and forgets removed channels; None where there is none.
        """
        self.channels: dict[str, Channel] = {}
        self.history_bytes = 0
        self.failing = Timeouts[Channel](lambda: settings.channels.failed_grace)
        self.running = Timeouts[Channel](lambda: settings.channels.idle_timeout)
        self.ended = Timeouts[Channel](lambda: settings.channels.retention)
        self.tombstones = Tombstones(lambda: settings.limits.max_tombstones)
        self.trials = Trials()
        self.evicted = ThrottledCounts(_log, "channel", clock.seconds)
        self.on_due: Callable[[Channel, End], object] | None = None
        self.on_removed: Callable[[Channel], object] | None = None
        self.spares: Callable[[Channel], bool] = lambda _: False
        self._clock = clock
        self._settings = settings
        self._counters = counters
        self._journal = journal

    def restore(
        self, channels: Iterable[tuple[Channel, float]], tombstones: Iterable[Tombstone] = ()
    ) -> None:
        """Take over channels of an earlier run, with what is left of their retention or grace.

        Args:
            channels: each with the seconds since its end, or 0 if it has not ended; the oldest
                end first, and of the others the longest silent first.
            tombstones: of channels that were removed in that run, the oldest first; their times
                are negative: seconds ago.
        """
        now = self._clock.seconds()
        self.tombstones.add(one._replace(at=now + one.at) for one in tombstones)
        for channel, age in channels:
            self.channels[channel.id] = channel
            channel.began = int(now * 100)
            self.tombstones.reopen(channel.id)
            self.history_bytes += len(channel.log)
            if channel.end is not None:
                channel.outcome = End.FAILED if has_failed(channel.log) else channel.end
                self.ended.put(channel, now - age)
                continue
            self.running.put(channel, now)
            if has_failed(channel.log):
                self.failing.put(channel, now)

    def open(self, channel_id: str, *, is_limited: bool = True) -> Channel:
        """The channel of this id; a new one if there is none.

        Args:
            channel_id: of the channel.
            is_limited: whether the limits are to be kept.

        Raises:
            NoRoom: there is none, and there is no room for another.
        """
        channel = self.channels.get(channel_id)
        if channel is None:
            most = self._settings.limits.max_channels
            is_full = is_limited and len(self.channels) >= most
            if is_full and not self.evict("max_channels"):
                self._counters.limits["max_channels"] += 1
                raise NoRoom(f"max_channels, which left no room for {channel_id!r}")
            self.tombstones.reopen(channel_id)
            channel = self.channels[channel_id] = Channel(channel_id)
            channel.began = int(self._clock.seconds() * 100)
            self.trials.opened(channel)
        return channel

    def find(self, channel_id: str) -> Channel | None:
        """The channel of this id, or what is remembered of it; None if that is nothing."""
        return self.channels.get(channel_id) or self.tombstones.channel(channel_id)

    def last_message(self, channel: Channel) -> float | None:
        """When the last message came, in seconds of the clock; None if that is not known.

        It is not known of a running channel to which nothing was added since a restart.
        """
        if channel.forgotten is not None:
            return None
        if channel.times:
            return (channel.began + channel.times[-1]) / 100
        return self.ended.get(channel)

    def has_room(self, channel_id: str) -> bool:
        """Whether a client can follow a channel of this id; nothing is changed."""
        if (
            self.find(channel_id) is not None
            or len(self.channels) < self._settings.limits.max_channels
        ):
            return True
        return self._dispensable() is not None

    def limit_reached(self, channel: Channel) -> str | None:
        """The limit that lets a channel grow no more; None if there is room, or could be made."""
        limits = self._settings.limits
        if channel.count >= limits.max_channel_messages:
            return "max_channel_messages"
        if len(channel.log) >= limits.max_channel_bytes:
            return "max_channel_bytes"
        is_full = self.history_bytes >= limits.max_history_bytes
        if is_full and not self.evict("max_history_bytes", spared=channel):
            return "max_history_bytes"
        return None

    def go_on(self, channel: Channel, command: str, now: float) -> None:
        """Note a message after FAILED: its grace begins anew, or is over as an attempt begins."""
        if command in BEGINNING:
            self.failing.discard(channel)
        else:
            self.failing.put(channel, now)

    def end(self, channel: Channel, end: End, now: float) -> None:
        """Note that a channel has ended; from now on its retention runs."""
        channel.end = end
        if channel.is_trial:
            channel.outcome = end
            self.trials.ended(channel, now)
            return
        channel.outcome = End.FAILED if channel in self.failing else end
        self._counters.ends[end.value] += 1
        self._counters.outcomes[channel.outcome.value] += 1
        self.failing.discard(channel)
        self.running.discard(channel)
        self.ended.put(channel, now)
        how = end.value if channel.outcome is end else f"{end.value}, the job has failed"
        text = "channel {channel!r} ended: {end}"
        _log.info(text, event="channel_ended", channel=channel.id, end=how)

    def expire(self) -> Iterator[Channel | None]:
        """End and remove what is due, and evict what exceeds limits that were lowered.

        Gives, step by step, each channel that was ended, whose followers have a message to read,
        and None for each that was removed.
        """
        now = self._clock.seconds()
        for channel in self.failing.pop_due(now):
            yield self._close(channel, End.FAILED, now)
        for channel in self.running.pop_due(now):
            yield self._close(channel, End.EXPIRED, now)
        for channel in self.trials.due(now, has_ended=False):
            self.trials.heard(channel, now)  # in a cluster the end comes later
            yield self._close(channel, End.EXPIRED, now)
        for _ in remove_due(self, now):
            yield None
        limits = self._settings.limits
        while len(self.channels) > limits.max_channels and self.evict("max_channels"):
            yield None
        while self.history_bytes > limits.max_history_bytes and self.evict("max_history_bytes"):
            yield None

    def remove(self, channel: Channel) -> None:
        """Keep a channel no longer; does nothing if another has its id by now."""
        ended = self.ended.get(channel)
        for timeouts in (self.failing, self.running, self.ended):
            timeouts.discard(channel)
        if self.channels.get(channel.id) is channel:
            tombstone = None
            if channel.count and not channel.is_trial:
                tombstone = Tombstone.of(channel, self._clock.seconds(), ended)
                self.tombstones.add([tombstone])
            if self._journal is not None:
                self._journal.forget(channel, tombstone)
            self.drop(channel)

    def drop(self, channel: Channel, *, is_replaced: bool = False) -> None:
        """Remove a channel without a trace: it is kept elsewhere, or is replaced by another."""
        del self.channels[channel.id]
        self.history_bytes -= len(channel.log)
        self.trials.pop(channel, None)
        for timeouts in (self.failing, self.running, self.ended):
            timeouts.discard(channel)
        if self.on_removed is not None and not is_replaced:
            self.on_removed(channel)

    def _close(self, channel: Channel, end: End, now: float) -> Channel | None:
        """End a channel that the broker has left open as if the broker had sent FINISHED."""
        if self.on_due is not None:
            self.on_due(channel, end)
            return None
        self.history_bytes += channel.append(finished(channel.id).text, int(now * 100))
        self.end(channel, end, now)
        if self._journal is not None and not channel.is_trial:
            self._journal.save((channel,))
        return channel

    def evict(self, limit: str, spared: Channel | None = None) -> bool:
        """Remove the channel that will be missed least; False if every one of them is needed.

        Args:
            limit: what requires it, to be counted and logged.
            spared: is not removed.
        """
        channel = self._dispensable(spared)
        if channel is None:
            return False
        self._counters.limits[limit] += 1
        self.evicted.add(limit, f"{limit}, which left no room for {channel.id!r}")
        self.remove(channel)
        return True

    def _dispensable(self, spared: Channel | None = None) -> Channel | None:
        """The channel that will be missed least; None if every one of them is needed.

        Ended channels go first, the oldest end first, unless a follower has not read to the end.
        Then running channels that nobody follows, the longest silent first.
        """
        ended = islice(self.ended, EVICTION_CANDIDATES)
        running = islice(self.running, EVICTION_CANDIDATES)
        for channel in chain(ended, running):
            is_read = any(channel.end is None or one.behind for one in channel.subscriptions)
            is_spared = channel is spared or (channel.end is None and self.spares(channel))
            if not is_read and not is_spared:
                return channel
        return None


def remove_due(retention: Retention, now: float) -> Iterator[None]:
    """Remove, step by step, the channels whose retention is over."""
    while (due := retention.ended.first_due(now)) is not None:
        retention.remove(due)
        yield
    for channel in retention.trials.due(now, has_ended=True):
        retention.remove(channel)
        yield
