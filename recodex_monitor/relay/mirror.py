"""The mirror: keeps a hub's channels equal to the engine's streams."""

from collections.abc import Iterable

from twisted.logger import Logger

from recodex_monitor.channels.attempts import has_failed
from recodex_monitor.channels.channel import Channel, End, Subscription
from recodex_monitor.channels.counters import OTHER
from recodex_monitor.channels.frames import spans
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.message import FAILED, FINISHED
from recodex_monitor.channels.tombstones import Tombstone
from recodex_monitor.relay.layout import Batch, Ended, new_epoch
from recodex_monitor.timing.clock import Clock

_log = Logger()


class Gap(Exception):
    """A batch does not follow what the hub has: messages between them are missing."""


class Mirror:
    """Adds what the engine has acknowledged to a hub's channels.

    The limits of the settings are the owner's: what is in the engine is never dropped here.

    Attributes:
        hub: has the channels.
        replaced: channels whose messages were replaced by others, since the start.
        offset: what to add to the engine's time to have the hub's, in seconds.
    """

    def __init__(self, hub: Hub, clock: Clock) -> None:
        """Begin with the channels that the hub has; ``clock`` is the hub's."""
        self.hub = hub
        self.replaced = 0
        self.offset: float | None = None
        self._clock = clock

    def count(self, channel_id: str) -> int:
        """How many messages of a channel the hub has."""
        channel = self.hub.channels.get(channel_id)
        return channel.count if channel is not None else 0

    def is_other(self, batch: Batch) -> bool:
        """Whether a batch belongs to another epoch than what the hub has."""
        channel = self.hub.channels.get(batch.channel_id)
        return channel is not None and channel.count > 0 and channel.epoch != batch.epoch

    def apply(self, batches: Iterable[Batch], *, is_new: bool = True) -> None:
        """Add messages, but those that the hub has, and wake the followers.

        Args:
            batches: of the epochs that the hub's channels have.
            is_new: whether they were sent just now, and count as messages of the broker.

        Raises:
            Gap: there are messages missing before a batch; those before it are added.
        """
        now = self._clock.seconds()
        changed: dict[Channel, None] = {}
        try:
            for batch in batches:
                channel = self._append(batch, now, is_new=is_new)
                if channel is not None:
                    changed[channel] = None
        finally:
            if changed:
                if is_new and not all(channel.is_trial for channel in changed):
                    self.hub.counters.last = now
                self.hub.pass_on(changed, now)

    def _append(self, batch: Batch, now: float, *, is_new: bool) -> Channel | None:
        retention = self.hub.retention
        channel = retention.open(batch.channel_id, is_limited=False)
        if channel.count == 0:
            channel.epoch = batch.epoch
        if batch.first > channel.count + 1:
            raise Gap(f"{batch.channel_id!r}: {channel.count} is followed by {batch.first}")
        batch = batch.after(channel.count)
        if not batch.texts:
            return None
        at = now if is_new else self._moment(batch, now)
        if not channel.count:
            channel.began = min(channel.began, int(at * 100))
        hundredths = max(channel.began, int(at * 100))
        for text in batch.texts:
            retention.history_bytes += channel.append(text, hundredths)
        if is_new:
            self._note(channel, batch, at)
        else:
            self._restore(channel, batch, at)
        return channel

    def _note(self, channel: Channel, batch: Batch, at: float) -> None:
        """Count new messages, and set the channel's timeouts as the hub does."""
        retention, commands = self.hub.retention, self.hub.counters.commands
        if channel.is_trial:
            self._note_trial(channel, batch, at)
            return
        for text in batch.texts:
            command = command_of(text)
            commands[command if command in commands else OTHER] += 1
            if command == FAILED:
                retention.failing.put(channel, at)
            elif channel in retention.failing and command != FINISHED:
                retention.go_on(channel, command, at)
        if batch.end is not None:
            retention.end(channel, batch.end, at)
        else:
            retention.running.put(channel, at)

    def _note_trial(self, channel: Channel, batch: Batch, at: float) -> None:
        self.hub.retention.trials.heard(channel, at)
        if batch.end is not None:
            self.hub.retention.end(channel, batch.end, at)

    def _restore(self, channel: Channel, batch: Batch, at: float) -> None:
        """Set the timeouts of a channel as if its messages had come here when they were sent."""
        retention, failed = self.hub.retention, has_failed(channel.log)
        if channel.is_trial:
            self._note_trial(channel, batch, at)
            return
        retention.failing.discard(channel)
        if batch.end is not None:
            channel.end, channel.outcome = batch.end, End.FAILED if failed else batch.end
            retention.running.discard(channel)
            retention.ended.put(channel, at)
            return
        retention.running.put(channel, at)
        if failed:
            retention.failing.put(channel, at)

    def _moment(self, batch: Batch, now: float) -> float:
        return now if self.offset is None else min(now, batch.time + self.offset)

    def remember(self, channel_id: str, ended: Ended) -> None:
        """Note how a channel ended whose messages are no longer kept."""
        now = self._clock.seconds()
        at = now if self.offset is None else min(now, ended.time + self.offset)
        one = Tombstone(channel_id, ended.end, at, ended.epoch, ended.messages, ended.outcome)
        self.hub.retention.tombstones.add([one])

    def replace(self, channel_id: str, batches: list[Batch]) -> None:
        """Put a channel of another epoch in the place of the hub's.

        Its followers by a bare id go on if what they have read is the beginning of the new
        messages as well; all others must begin again.
        """
        old = self.hub.channels.get(channel_id)
        if old is not None:
            self.hub.retention.drop(old, is_replaced=True)
        self.replaced += 1
        _log.warn("{channel!r} has other messages now: a new epoch", channel=channel_id)
        self.apply(batches, is_new=False)
        if old is not None:
            new = self.hub.retention.open(channel_id, is_limited=False)
            self._move(old, new)

    def renew(self, channel: Channel) -> None:
        """Give a channel a new epoch; its subscriptions with ids begin again."""
        channel.epoch = new_epoch()
        for one in tuple(channel.subscriptions):
            if one.has_ids:
                self._restart(one)

    def _move(self, old: Channel, new: Channel) -> None:
        same = common(old.log, new.log)
        for one in tuple(old.subscriptions):
            if one.has_ids or one.position > same:
                self._restart(one)
                continue
            old.subscriptions.discard(one)
            one.channel = new
            new.subscriptions.add(one)
            self.hub.wake(one)

    def _restart(self, subscription: Subscription) -> None:
        self.hub.unsubscribe(subscription)
        try:
            subscription.restart()
        except Exception:
            _log.failure("a subscription to {id!r} could not end", id=subscription.channel.id)


def command_of(text: bytes) -> str:
    """The command in a message's text; of a command with escapes, only its beginning."""
    return text.split(b'"', 4)[3].decode(errors="replace") if text.count(b'"') > 3 else ""


def common(one: bytearray, other: bytearray) -> int:
    """The bytes of whole messages with which both logs begin."""
    if other.startswith(one):
        return len(one)
    end = 0
    for span in spans(one):
        if other[end : span.stop] != one[end : span.stop]:
            return end
        end = span.stop
    return end


def texts_of(channel: Channel, first: int, most: int) -> list[bytes]:
    """The texts of some messages of a channel, from the one with this number on."""
    texts: list[bytes] = []
    start = channel.position(first - 1)
    for span in spans(channel.log, start):
        if len(texts) == most:
            break
        texts.append(bytes(channel.log[span]))
    return texts
