"""The intake: what the broker has said and the engine has not acknowledged, within the limits."""

from twisted.logger import Logger

from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.message import FINISHED, Message
from recodex_monitor.channels.reserve import may_exceed
from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.relay.layout import new_epoch
from recodex_monitor.relay.pending import Pending, Push
from recodex_monitor.settings.schema import LiveSettings

_log = Logger()

MOST_TEXTS, MOST_BYTES, MOST_STREAMS = 2000, 2**20, 500
"""What one call pushes at most: the engine serves nobody else meanwhile, some 15 ms."""


class Intake:
    """Numbers messages and keeps them, by channel.

    It has the limits that a hub has without a cluster: what they leave no room for is dropped here,
    before it has a number, and counted by the hub.

    Attributes:
        pending: by channel, what is waiting; the order is that in which channels are pushed.
        size: bytes of all texts that wait.
        is_held: whether what is waiting may not be pushed yet, since late messages come first.
    """

    def __init__(self, hub: Hub, settings: LiveSettings) -> None:
        """Begin empty.

        Args:
            hub: has all that was acknowledged.
            settings: have the limits.
        """
        self.pending: dict[str, Pending] = {}
        self.size = 0
        self.is_held = False
        self._hub = hub
        self._settings = settings

    @property
    def count(self) -> int:
        """How many messages wait."""
        return sum(len(one.texts) for one in self.pending.values())

    @property
    def is_ready(self) -> bool:
        """Whether the engine has exactly what the hub has."""
        return all(one.is_ready for one in self.pending.values())

    def add(self, message: Message, end: End | None = None) -> bool:
        """Add a message; returns whether it was added, or has to be dropped.

        Args:
            message: the broker's, or the one that ends a channel by time.
            end: how it ends the channel, if the broker does not end it.
        """
        channel_id, command, text = message
        if command == FINISHED:
            end = end or End.FINISHED
        pending = self.pending.get(channel_id)
        channel = self._hub.channels.get(channel_id)
        if (channel and channel.end) or (pending and pending.end):
            self._hub.dropped.add("channel ended", f"the end of channel {channel_id!r}")
            return False
        try:
            channel = channel or self._hub.retention.open(channel_id)
        except NoRoom as error:
            self._hub.dropped.add("no room", error)
            return False
        if end is None and not self._has_room(channel, pending, command):
            return False
        self._hub.retention.trials.begins(channel)
        pending = pending or self.open(channel)
        pending.texts.append(text)
        pending.end = end
        pending.size += len(text)
        self.size += len(text)
        return True

    def open(self, channel: Channel) -> Pending:
        """What is waiting of a channel; begins with nothing after what the hub has."""
        pending = self.pending.get(channel.id)
        if pending is None:
            epoch = channel.epoch if channel.count else new_epoch()
            pending = Pending(channel.id, epoch, channel.count)
            self.pending[channel.id] = pending
        return pending

    def next(self) -> list[Push]:
        """What to push next, by one call."""
        pushes: list[Push] = []
        texts = size = 0
        channels = self._hub.channels
        for channel_id, pending in self.pending.items():
            if (self.is_held or pending.late) and pending.is_ready:
                continue
            channel, most = channels.get(channel_id), MOST_TEXTS - texts
            push = pending.push(channel, most, is_held=self.is_held)
            pushes.append(push)
            texts += len(push.texts)
            size += sum(map(len, push.texts))
            if texts >= MOST_TEXTS or size >= MOST_BYTES or len(pushes) >= MOST_STREAMS:
                break
        return pushes

    def next_late(self) -> list[Push]:
        """All late messages."""
        channels = self._hub.channels
        late = [one for one in self.pending.values() if one.late]
        return [one.push_late(channels.get(one.channel_id)) for one in late]

    def insert(self, channel_id: str, texts: list[bytes], end: End | None) -> None:
        """Add late messages, which come before all that are not pushed yet.

        The limits were kept when they were heard. The engine must have exactly what the hub has.
        """
        channel = self._hub.retention.open(channel_id, is_limited=False)
        if channel.end is not None:
            for _ in texts:
                self._hub.dropped.add("channel ended", f"the end of channel {channel_id!r}")
            return
        pending = self.open(channel)
        at = len(pending.late)
        pending.texts[at:at] = texts
        pending.late.update(range(pending.first + at, pending.first + at + len(texts)))
        if end is not None:
            for _ in pending.texts[len(pending.late) :]:
                self._hub.dropped.add("channel ended", f"the end of channel {channel_id!r}")
            del pending.texts[len(pending.late) :]
            pending.end = end
        size = sum(map(len, pending.texts))
        self.size, pending.size = self.size + size - pending.size, size

    def has(self, pending: Pending) -> bool:
        """Whether this is still what waits of its channel."""
        return self.pending.get(pending.channel_id) is pending

    def replace(self, channel: Channel) -> None:
        """Push a channel again from its first message on, under the epoch that it has now."""
        pending = self.open(channel)
        pending.epoch = channel.epoch
        pending.top, pending.replaces, pending.is_known = 0, True, False

    def settle(self, pending: Pending) -> None:
        """Remove a channel if nothing of it is pending, else put it behind all others."""
        del self.pending[pending.channel_id]
        if not pending.is_settled:
            self.pending[pending.channel_id] = pending

    def forget(self, channel: Channel) -> None:
        """Forget a channel that the hub has removed, unless messages of it wait."""
        pending = self.pending.get(channel.id)
        if pending is not None and not pending.texts:
            del self.pending[channel.id]

    def take_all(self) -> list[Pending]:
        """Remove everything that is pending, and return it."""
        taken, self.pending, self.size = [*self.pending.values()], {}, 0
        return taken

    def _has_room(self, channel: Channel, pending: Pending | None, command: str) -> bool:
        count, size = (len(pending.texts), pending.size) if pending is not None else (0, 0)
        limits = self._settings.limits
        limit = None
        if channel.count + count >= limits.max_channel_messages:
            limit = "max_channel_messages"
        elif len(channel.log) + size >= limits.max_channel_bytes:
            limit = "max_channel_bytes"
        elif self._hub.retention.history_bytes + self.size >= limits.max_history_bytes:
            limit = "max_history_bytes"
            if self._hub.retention.evict(limit, spared=channel):
                return True
        history_bytes = self._hub.retention.history_bytes + self.size - size
        if limit is None or may_exceed(channel, command, limits, history_bytes, (count, size)):
            return True
        self._hub.counters.limits[limit] += 1
        detail = f"{limit}, which channel {channel.id!r} has reached"
        self._hub.dropped.add("channel full", detail)
        return False
