"""The messages of one channel that the engine has not acknowledged yet."""

from typing import NamedTuple

from recodex_monitor.channels.attempts import has_failed
from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.relay.connection import Word
from recodex_monitor.relay.layout import Batch
from recodex_monitor.relay.mirror import texts_of

OTHER_EPOCH = -1
"""The engine's answer where a stream has another epoch."""


class Push(NamedTuple):
    """What is pushed of a channel by one call.

    Attributes:
        pending: the channel's.
        first: the number of the first text.
        texts: may be empty, to ask what the engine has.
        end: how the channel ends with the last text; None if it does not.
        outcome: how its job went then.
    """

    pending: "Pending"
    first: int
    texts: list[bytes]
    end: End | None
    outcome: End | None = None

    @property
    def last(self) -> int:
        """The number of the last message that the engine has if all goes well."""
        return self.first + len(self.texts) - 1

    @property
    def has_own(self) -> bool:
        """Whether there are messages that come after all late ones."""
        return self.last >= self.pending.first + len(self.pending.late)

    @property
    def is_all(self) -> bool:
        """Whether it has the channel's last message."""
        pending = self.pending
        return self.last + 1 == pending.first + len(pending.texts)

    def values(self) -> list[Word]:
        """The arguments of push.lua for this stream."""
        one, end, outcome = self.pending, self.end or "-", self.outcome or "-"
        count = len(self.texts)
        return [one.epoch, self.first, end, outcome, int(one.replaces), count, *self.texts]


class Pending:
    """The messages of a channel that have not been acknowledged, after those that have.

    Attributes:
        channel_id: of the channel.
        epoch: of the channel.
        top: the number of the last message that the engine has, as far as it is known.
        first: the number of the first message here; the hub has those before it.
        texts: of the messages.
        size: bytes of the texts.
        end: how the channel ends with the last of them; None if it does not.
        replaces: whether a stream of another epoch is to be replaced.
        late: the numbers of messages that are still in the list of late messages, the first here.
        is_known: whether the engine's last answer was about this channel as it is.
    """

    __slots__ = (
        *("channel_id", "end", "epoch", "first", "is_known", "late"),
        *("replaces", "size", "texts", "top"),
    )

    def __init__(self, channel_id: str, epoch: str, count: int) -> None:
        """Begin after the ``count`` messages that the hub has."""
        self.channel_id = channel_id
        self.epoch = epoch
        self.top = count
        self.first = count + 1
        self.texts: list[bytes] = []
        self.size = 0
        self.end: End | None = None
        self.replaces = False
        self.is_known = True
        self.late: set[int] = set()

    @property
    def is_settled(self) -> bool:
        """Whether the engine has everything."""
        return self.is_ready and not self.texts

    def push(self, channel: Channel | None, most: int, *, is_held: bool = False) -> Push:
        """The next messages to push, ``most`` at most.

        Args:
            channel: the hub's, which has what the engine has lost; None if it has none.
            most: the bound.
            is_held: whether only what the hub has may be pushed.
        """
        first = self.top + 1
        own = [] if is_held or self.late else self.texts
        if first < self.first:
            assert channel is not None
            texts = texts_of(channel, first, most)
            texts += own[: most - len(texts)]
        else:
            texts = own[first - self.first :][:most]
        return self._ending(Push(self, first, texts, None), channel)

    def push_late(self, channel: Channel | None) -> Push:
        """All late messages."""
        texts = self.texts[: len(self.late)]
        return self._ending(Push(self, self.first, texts, None), channel)

    @property
    def is_ready(self) -> bool:
        """Whether the engine has exactly what the hub has."""
        return self.is_known and self.top == self.first - 1

    def _ending(self, push: Push, channel: Channel | None) -> Push:
        """The same, with the channel's end if it has the last message."""
        if not push.is_all:
            return push
        end = self.end or (channel.end if channel is not None else None)
        if end is None:
            return push
        log = bytes(channel.log) if channel is not None else b""
        has_failed_last = has_failed(log + b"".join(self.texts))
        return push._replace(end=end, outcome=End.FAILED if has_failed_last else end)

    def acknowledge(self, push: Push, top: int) -> Batch | None:
        """Note the engine's answer; returns what it has acknowledged now, if anything.

        Args:
            push: what was pushed.
            top: the answer: the number of the last message that the engine has, or OTHER_EPOCH.
        """
        if top == OTHER_EPOCH:
            self.replaces, self.top, self.is_known = True, 0, False
            return None
        self.is_known = True
        self.top = top
        if top < push.first - 1:
            return None
        count = top - self.first + 1
        if count <= 0 or not self.texts:
            return None
        texts, self.texts = self.texts[:count], self.texts[count:]
        self.size -= sum(map(len, texts))
        end = self.end if not self.texts else None
        batch = Batch(self.channel_id, self.epoch, self.first, texts, end)
        self.first += len(texts)
        if self.late:
            self.late = {number for number in self.late if number >= self.first}
        return batch
