"""What the history file holds: records, and the channels that they make.

A record is a row of the database. It holds what has happened in one turn: entries, each of a
channel. To keep them together takes a third of the time of a row for each.
"""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from recodex_monitor.channels.channel import CHUNK_SIZE, Channel, End
from recodex_monitor.history.timestamps import age

OPENED, ENDED, FORGOTTEN = 0, -1, -2
"""Kinds of entries: a channel's epoch and id; how and when it ended; that it is to go.

Any other kind is messages: their frames, and as the kind the number of the last of them.
"""

INSERT = "INSERT INTO log VALUES (?, ?, ?, ?)"
CREATE = "CREATE TABLE log (id INTEGER PRIMARY KEY, heads BLOB, data BLOB, crc INTEGER)"
SELECT = "SELECT id, heads, data, crc FROM log ORDER BY id"

Entry = tuple[int, int, bytes]
"""A channel's number, the kind, and the data."""


class Loaded(NamedTuple):
    """What a file holds.

    Attributes:
        channels: each with the seconds since its end, 0 where it has none; the oldest first.
        dead: the numbers of those that are to go, each with the bytes of its messages.
        last_channel: the highest number, 0 without one.
        last_record: the last record's id, 0 without one.
        is_short: whether the machine may have died with the newest records in its memory.
    """

    channels: list[tuple[Channel, float]]
    dead: dict[int, int]
    last_channel: int
    last_record: int
    is_short: bool = False


def pack(heads: list[int], pieces: Iterable[bytes | bytearray]) -> tuple[bytes, bytes, int]:
    """The columns of a record.

    Args:
        heads: of each entry the channel's number, the kind, and the data's length.
        pieces: of each entry the data.
    """
    packed, data = array("q", heads).tobytes(), b"".join(pieces)
    return packed, data, crc32(data, crc32(packed))


def verify(heads: bytes, data: bytes, crc: int) -> None:
    """Raise ValueError where a record is not as it was written."""
    if crc32(data, crc32(heads)) != crc:
        raise ValueError("a record has changed")


def unpack(heads: bytes, data: bytes, crc: int) -> Iterator[Entry]:
    """The entries of a record.

    Raises:
        ValueError: the record is not as it was written.
    """
    verify(heads, data, crc)
    values = iter(array("q", heads))
    start = 0
    for number, kind, size in zip(values, values, values, strict=True):
        yield number, kind, data[start : start + size]
        start += size


def load(db: sqlite3.Connection, now: str) -> Loaded:
    """Make the channels of a history again.

    Args:
        db: the history.
        now: the moment for which their ages are told.

    Raises:
        ValueError: something else is in it than what was written.
    """
    found: dict[int, _Found] = {}
    dead: dict[int, int] = {}
    last_record = 0
    for last_record, heads, data, crc in db.execute(SELECT):  # noqa: B007
        for number, kind, piece in unpack(heads, data, crc):
            one = found.get(number)
            if one is not None and kind > 0:
                one.pieces.append(piece)
                one.counts.append(kind)
            elif kind == OPENED:
                found[number] = _Found(number, piece.decode())
            elif one is None:
                dead.setdefault(number, 0)  # The rest of it was swept out.
            elif kind == ENDED:
                one.end = piece.decode()
            else:
                dead[number] = sum(map(len, found.pop(number).pieces))
    channels = sorted((one.restored(now) for one in found.values()), key=lambda pair: -pair[1])
    return Loaded(channels, dead, max((*found, *dead), default=0), last_record)


class _Found:
    """What was found of a channel so far."""

    __slots__ = ("counts", "end", "number", "opening", "pieces")

    def __init__(self, number: int, opening: str) -> None:
        self.number = number
        self.opening = opening
        self.pieces: list[bytes] = []
        self.counts: list[int] = []
        self.end = ""

    def restored(self, now: str) -> tuple[Channel, float]:
        """The channel, and its age."""
        epoch, channel_id = self.opening.split(" ", 1)
        channel = Channel(channel_id, epoch)
        channel.number = self.number
        for frames, count in self._chunks():
            channel.extend(frames, count - channel.count)
        channel.saved = len(channel.log)
        if not self.end:
            return channel, 0.0
        end, then = self.end.split(" ", 1)
        channel.end = End(end)
        return channel, age(then, now)

    def _chunks(self) -> Iterator[tuple[bytes, int]]:
        """The log in few parts, each with the messages up to its end."""
        log = b"".join(self.pieces)
        if len(log) < CHUNK_SIZE:
            yield log, self.counts[-1]
            return
        start = stop = 0
        for piece, count in zip(self.pieces, self.counts, strict=True):
            stop += len(piece)
            if stop - start >= CHUNK_SIZE or stop == len(log):
                yield log[start:stop], count
                start = stop
