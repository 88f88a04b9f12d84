"""What is in the engine: the keys' names, and the forms of what they hold.

A channel is a stream with an entry for each message. The entry's id is ``<number>-<epoch>``, so one
XREVRANGE gives both, and ``XRANGE key 58 +`` reads what follows message 57.
"""

from collections.abc import Iterable, Iterator, Sequence
from secrets import randbelow
from typing import NamedTuple

from recodex_monitor.channels.channel import End

VERSION = "1"
"""The version of this layout, kept in the engine under ``Keys.meta``."""

PAGE = 200
"""Entries of a stream that are read at once."""


class Keys:
    """The names of all keys, which begin with a prefix."""

    def __init__(self, prefix: str) -> None:
        """Begin all names with this prefix and a colon."""
        self.channels = f"{prefix}:c:"
        self.ends = f"{prefix}:end:"
        self.nodes = f"{prefix}:node:"
        self.names = f"{prefix}:nodes"
        self.lease = f"{prefix}:lease"
        self.fence = f"{prefix}:fence"
        self.meta = f"{prefix}:meta"
        self.late = f"{prefix}:late"
        self.tops = f"{prefix}:tops:"
        self.yielding = f"{prefix}:yielding"

    def stream(self, channel_id: str) -> bytes:
        """The key of a channel, and the name under which news of it are published."""
        return f"{self.channels}{channel_id}".encode()

    def end(self, channel_id: str) -> bytes:
        """The key that holds how a channel ended."""
        return f"{self.ends}{channel_id}".encode()

    def channel_id(self, key: bytes) -> str:
        """The channel that a key belongs to, or the empty text."""
        text = key.decode(errors="replace")
        return text.removeprefix(self.channels) if text.startswith(self.channels) else ""


class Batch(NamedTuple):
    """Messages of one channel that follow each other.

    Attributes:
        channel_id: of the channel.
        epoch: of the channel.
        first: the number of the first message, from 1 on.
        texts: of the messages.
        end: how the channel ended with the last of them; None while it has not.
        time: when the last came, in seconds of the engine's clock.
    """

    channel_id: str
    epoch: str
    first: int
    texts: list[bytes]
    end: End | None = None
    time: float = 0.0

    @property
    def last(self) -> int:
        """The number of the last message."""
        return self.first + len(self.texts) - 1

    def after(self, number: int) -> "Batch":
        """What follows this message."""
        skipped = max(0, number - self.first + 1)
        return self._replace(first=self.first + skipped, texts=self.texts[skipped:])


def new_epoch() -> str:
    """A random epoch; the engine's ids hold 64 bits, and 0 would not be accepted."""
    return str(randbelow(2**63 - 1) + 1)


def parse_news(channel_id: str, payload: bytes) -> Batch:
    """Read what ``push.lua`` publishes: a head and the texts, which have no line breaks.

    Raises:
        ValueError: it is something else.
    """
    head, *texts = payload.split(b"\n")
    epoch, first, end, time = head.split(b" ")
    return Batch(channel_id, epoch.decode(), int(first), texts, _end(end), int(time) / 1000)


def parse_entries(channel_id: str, entries: Iterable[Sequence[object]]) -> Iterator[Batch]:
    """Read the entries of a stream, as XRANGE gives them; entries of one epoch make one batch.

    Raises:
        ValueError: they are something else.
    """
    batch: Batch | None = None
    for name, pairs in entries:
        number, epoch = parse_id(name)
        fields = _fields(pairs)
        end, time = _end(fields.get(b"e", b"-")), int(fields[b"t"]) / 1000
        if batch is not None and (epoch, number) == (batch.epoch, batch.last + 1):
            batch.texts.append(fields[b"m"])
            batch = batch._replace(end=end, time=time)
            continue
        if batch is not None:
            yield batch
        batch = Batch(channel_id, epoch, number, [fields[b"m"]], end, time)
    if batch is not None:
        yield batch


class Ended(NamedTuple):
    """What is kept of a channel that has ended, for longer than its messages.

    Attributes:
        end: how it ended.
        outcome: how its job went.
        time: when, in seconds of the engine's clock.
        messages: how many it had.
        epoch: of the channel.
    """

    end: End
    outcome: End
    time: float
    messages: int
    epoch: str


def parse_ended(text: bytes) -> Ended:
    """Read what ``push.lua`` keeps of a channel that has ended.

    Raises:
        ValueError: it is something else.
    """
    end, outcome, time, count, epoch = text.decode().split(" ")[:5]
    return Ended(End(end), End(outcome), int(time) / 1000, int(count), epoch)


def parse_id(name: object) -> tuple[int, str]:
    """The number and the epoch of an entry's id.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(name, bytes):
        raise ValueError(f"not an entry's id: {name!r}")
    number, epoch = name.decode().split("-")
    return int(number), epoch


def _fields(pairs: object) -> dict[bytes, bytes]:
    if not isinstance(pairs, list) or b"m" not in pairs[::2] or b"t" not in pairs[::2]:
        raise ValueError(f"not an entry of a channel: {pairs!r}")
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _end(word: bytes) -> End | None:
    return None if word == b"-" else End(word.decode())
