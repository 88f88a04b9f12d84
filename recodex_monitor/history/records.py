"""What the history file holds: records, and the channels that they make.

A record is a row of the database. It has what happened in one turn as a number of entries, each of
one channel. A row for each entry would take three times as long to write.
"""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from recodex_monitor.channels.attempts import has_failed
from recodex_monitor.channels.channel import CHUNK_SIZE, Channel, End
from recodex_monitor.channels.tombstones import Tombstone
from recodex_monitor.history.timestamps import age

OPENED, ENDED, TOMBSTONE, SUMMARY = 0, -1, -2, -3
"""Kinds of entries: a channel's epoch and id; how and when it ended; when it was forgotten.

A summary follows a tombstone and is what compaction leaves of a channel: see ``summary``.
Monitors that do not know it ignore it.

Any other kind is messages: the data are their frames, the kind is the number of the last of them.
"""

CREATE = "CREATE TABLE log (id INTEGER PRIMARY KEY, heads BLOB, data BLOB, crc INTEGER)"
INSERT = "INSERT INTO log VALUES (?, ?, ?, ?)"
SELECT = "SELECT id, heads, data, crc FROM log ORDER BY id"

Entry = tuple[int, int, bytes]
"""A channel's number, the kind, and the data."""


class Loaded(NamedTuple):
    """What a file holds.

    Attributes:
        channels: each with the seconds since its end, 0 where it has none; the oldest first.
        tombstones: of forgotten channels; the oldest first, and their times are negative: seconds
            ago.
        summaries: the numbers of those that have one, in the same order.
        dead: the numbers of forgotten channels, each with the bytes of its messages that are
            still in the file.
        last_channel: the highest number, 0 without one.
        last_record: the last record's id, 0 without one.
        may_lack_newest: whether the machine may have crashed before the newest records were synced.
    """

    channels: list[tuple[Channel, float]]
    tombstones: list[Tombstone]
    summaries: list[int]
    dead: dict[int, int]
    last_channel: int
    last_record: int
    may_lack_newest: bool = False


def pack(heads: list[int], pieces: Iterable[bytes | bytearray]) -> tuple[bytes, bytes, int]:
    """Make the columns of a record: heads in the machine's byte order, data, and their CRC.

    Args:
        heads: of each entry the channel's number, the kind, and the data's length.
        pieces: of each entry the data.
    """
    packed, data = array("q", heads).tobytes(), b"".join(pieces)
    return packed, data, crc32(data, crc32(packed))


def verify(heads: bytes, data: bytes, crc: int) -> None:
    """Raise ValueError if a record is not as it was written."""
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
    """Restore the channels of a history.

    Args:
        db: the history.
        now: the moment at which their ages are taken.

    Raises:
        ValueError: its records are not as they were written.
    """
    found: dict[int, _Found] = {}
    dead: dict[int, int] = {}
    tombstones: dict[int, Tombstone] = {}
    summaries: list[int] = []
    last_record = 0
    for last_record, heads, data, crc in db.execute(SELECT):  # noqa: B007
        for number, kind, piece in unpack(heads, data, crc):
            one = found.get(number)
            if one is not None and kind > 0:
                one.pieces.append(piece)
                one.counts.append(kind)
            elif kind == OPENED:
                found[number] = _Found(number, piece.decode())
            elif kind == SUMMARY:
                tombstones[number] = _summarized(piece, now)
                summaries.append(number)
            elif one is None:
                dead.setdefault(number, 0)  # The rest was removed by compaction.
            elif kind == ENDED:
                one.end = piece.decode()
            else:
                dead[number] = sum(map(len, one.pieces))
                for tombstone in found.pop(number).tombstone(piece.decode(), now):
                    tombstones[number] = tombstone
    last = max((*found, *dead, *summaries), default=0)
    channels = sorted((one.restored(now) for one in found.values()), key=lambda pair: -pair[1])
    return Loaded(channels, [*tombstones.values()], summaries, dead, last, last_record)


def summary(tombstone: Tombstone, now: str) -> bytes:
    """The data of a summary: the moment at which a channel was forgotten, and its tombstone."""
    return f"{now} {tombstone.text()}".encode()


def _summarized(data: bytes, now: str) -> Tombstone:
    *then, text = data.decode().split(" ", 3)
    return Tombstone.parse(text, -age(" ".join(then), now))


class _Found:
    """What the records read so far say of a channel."""

    __slots__ = ("counts", "end", "number", "opening", "pieces")

    def __init__(self, number: int, opening: str) -> None:
        self.number = number
        self.opening = opening
        self.pieces: list[bytes] = []
        self.counts: list[int] = []
        self.end = ""

    def restored(self, now: str) -> tuple[Channel, float]:
        """The channel, and the seconds since its end, 0 where it has none."""
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

    def tombstone(self, forgotten: str, now: str) -> Iterator[Tombstone]:
        """The channel's tombstone, if it had ended.

        Args:
            forgotten: when it was forgotten; empty if an older monitor has not written that.
            now: the moment at which its age is taken.
        """
        if self.end:
            end, ended = self.end.split(" ", 1)
            epoch, channel_id = self.opening.split(" ", 1)
            ago, outcome = age(forgotten or ended, now), End(end)
            if has_failed(b"".join(self.pieces)):
                outcome = End.FAILED
            kept = round(age(ended, now) - ago)
            yield Tombstone(
                channel_id, End(end), -ago, epoch, self.counts[-1], outcome, kept=max(0, kept)
            )

    def _chunks(self) -> Iterator[tuple[bytes, int]]:
        """The log in few parts, each with the number of messages up to its end."""
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
