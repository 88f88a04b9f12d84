"""Compaction of a history file: removes what tombstones stand for, merges small records.

The summary of a removed channel stays, as long as there are not too many newer ones.
"""

import sqlite3
from collections.abc import Callable, Generator, Iterable
from typing import NamedTuple

from twisted.logger import Logger

from recodex_monitor.history.records import INSERT, SUMMARY, Entry, pack, unpack
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.retry import Retry

_log = Logger()

MARGIN = 4 * 2**20
"""Bytes by which forgotten channels must outweigh the kept ones before they are removed.

So a compaction removes at least half of what it reads.
"""

CHANNEL_BYTES = 256
"""About how many bytes a channel takes besides its messages."""

SUMMARY_BYTES = 128
"""About how many bytes a summary takes."""

SMALL_BYTES, SMALL_RECORDS = 4096, 2000
"""Records of fewer bytes are merged when there are this many: a start reads them all."""

STEP_BYTES, STEP_RECORDS = 64 * 1024, 100
"""What one step reads and merges, in less than a millisecond."""

PAUSE = 4
"""The pause after a step, as a multiple of the time that the step took."""

_SELECT = "SELECT id, heads, data, crc FROM log WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
_DELETE = "DELETE FROM log WHERE id >= ? AND id <= ?"


class _Gone(NamedTuple):
    """What a compaction removes: forgotten channels, and summaries, by channels' numbers."""

    channels: frozenset[int] = frozenset()
    summaries: frozenset[int] = frozenset()

    def has(self, entry: Entry) -> bool:
        """Whether an entry is removed."""
        return entry[0] in (self.summaries if entry[1] == SUMMARY else self.channels)


class Compaction:
    """Compacts a history file in small steps, whenever that is worth it.

    Attributes:
        living_bytes: bytes of the messages of all channels that are kept.
        small: small records written since the last merge.
    """

    def __init__(
        self, db: sqlite3.Connection, clock: Clock, most_summaries: Callable[[], int]
    ) -> None:
        """Assume an empty history that may have small records; begin no compaction yet."""
        self.living_bytes = 0
        self.small = SMALL_RECORDS
        self._db = db
        self._clock = clock
        self._dead: set[int] = set()
        self._dead_bytes = 0
        self._most_summaries = most_summaries
        self._summaries: dict[int, None] = {}
        self._stale: set[int] = set()
        self._merged_to = 0
        self._running: Generator[None, None, None] | None = None
        self._retry = Retry(
            _log,
            clock,
            "history_compaction",
            "cannot compact the history file",
            "the history file is compacted again",
        )

    def add_dead(self, number: int, size: int) -> None:
        """Note a forgotten channel whose tombstone is in the file, and its messages' bytes."""
        self._dead.add(number)
        self._dead_bytes += size + CHANNEL_BYTES

    def add_summaries(self, numbers: Iterable[int]) -> None:
        """Note summaries that are in the file, by the numbers of their channels, oldest first."""
        self._summaries.update(dict.fromkeys(numbers))
        while len(self._summaries) > self._most_summaries():
            oldest = next(iter(self._summaries))
            del self._summaries[oldest]
            self._stale.add(oldest)
            self._dead_bytes += SUMMARY_BYTES

    def tick(self, last: int) -> bool:
        """Begin a compaction up to a record if one is needed; returns whether one is running."""
        if self._running is not None or not self._retry.may_try:
            return self._running is not None
        kept_bytes = self.living_bytes + len(self._summaries) * SUMMARY_BYTES
        if self._dead_bytes > kept_bytes + MARGIN:
            gone = _Gone(frozenset(self._dead), frozenset(self._stale))
            self._running = self._steps(0, last, gone, self._dead_bytes)
        elif self.small >= SMALL_RECORDS:
            # Keep dead channels here: dropping a tombstone before its OPENED entry would revive the
            # channel.
            self._running = self._steps(self._merged_to, last, _Gone(), 0)
        self._go()
        return self._running is not None

    def stop(self) -> None:
        """Stop a compaction that is running."""
        if self._running is not None:
            self._running.close()

    def _go(self) -> None:
        """Do one step, and the next one after a pause."""
        began = self._clock.seconds()
        if self._running is not None:
            next(self._running, None)
        if self._running is not None:
            self._clock.callLater(PAUSE * (self._clock.seconds() - began), self._go)

    def _steps(self, at: int, end: int, gone: _Gone, size: int) -> Generator[None, None, None]:
        self.small = 0
        try:
            while at < end:
                at = self._step(at, end, gone)
                yield
        except (sqlite3.Error, ValueError, MemoryError) as error:
            self._retry.failed(error)
        else:
            self._merged_to = end
            self._dead -= gone.channels
            self._stale -= gone.summaries
            self._dead_bytes -= size
            self._retry.succeeded()
        finally:
            self._running = None

    def _step(self, at: int, end: int, gone: _Gone) -> int:
        """Merge the next few records into one; returns the id up to which all is done."""
        records = self._next(at, end)
        if not records:
            return end
        first, last = records[0][0], records[-1][0]
        if first == last and not (gone.channels or gone.summaries):
            return last
        entries = [entry for record in records for entry in unpack(*record[1:])]
        kept = [entry for entry in entries if not gone.has(entry)]
        if first == last and len(kept) == len(entries):
            return last
        heads = [value for number, kind, data in kept for value in (number, kind, len(data))]
        self._db.execute("BEGIN")
        with self._db:
            self._db.execute(_DELETE, (first, last))
            if kept:
                self._db.execute(INSERT, (last, *pack(heads, (data for _, _, data in kept))))
        return last

    def _next(self, at: int, end: int) -> list[tuple[int, bytes, bytes, int]]:
        """The next records: several small ones, or one that is not small."""
        records: list[tuple[int, bytes, bytes, int]] = []
        size = 0
        for record in self._db.execute(_SELECT, (at, end, STEP_RECORDS)):
            is_small = len(record[2]) < SMALL_BYTES
            if is_small or not records:
                records.append(record)
                size += len(record[2])
            if not is_small or size >= STEP_BYTES:
                break
        return records
