"""Sweeping a history: what no channel needs is taken out, small records are put together."""

import sqlite3
from collections.abc import Generator

from twisted.logger import Logger

from recodex_monitor.history.records import INSERT, pack, unpack
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.retry import Trouble

_log = Logger()

MARGIN = 4 * 2**20
"""Bytes by which the dead must outweigh the living before they are swept out.

So a sweep takes out half of what it looks at, or more.
"""

CHANNEL_BYTES = 256
"""About what a channel takes besides its messages."""

SMALL_BYTES, SMALL_RECORDS = 4096, 2000
"""Records of fewer bytes are put together when there are so many, since a start reads them all."""

STEP_BYTES, STEP_RECORDS = 64 * 1024, 100
"""What a step looks at and puts together, in less than a millisecond."""

PAUSE = 4
"""Times as long as for a step that a sweep waits before the next one."""

SELECT = "SELECT id, heads, data, crc FROM log WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
_DELETE = "DELETE FROM log WHERE id >= ? AND id <= ?"


class Sweeping:
    """Sweeps over a history, and what tells when there must be one.

    Attributes:
        living_bytes: of the messages of all channels that are kept.
        small: small records since they were put together last.
    """

    def __init__(self, db: sqlite3.Connection, clock: Clock) -> None:
        """Take it that the history is empty, but that it has small records."""
        self.living_bytes = 0
        self.small = SMALL_RECORDS
        self._db = db
        self._clock = clock
        self._dead: set[int] = set()
        self._dead_bytes = 0
        self._together = 0
        self._sweep: Generator[None, None, None] | None = None
        self._trouble = Trouble(
            _log, clock, "cannot take old channels out of the history", "the history is swept again"
        )

    def died(self, number: int, size: int) -> None:
        """The history knows that a channel is to go, which has so many bytes of messages."""
        self._dead.add(number)
        self._dead_bytes += size + CHANNEL_BYTES

    def tick(self, last: int) -> bool:
        """Begin a sweep up to a record where one is needed; returns whether one goes on."""
        if self._sweep is not None or not self._trouble.may_try:
            return self._sweep is not None
        if self._dead_bytes > self.living_bytes + MARGIN:
            self._sweep = self._steps(0, last, frozenset(self._dead), self._dead_bytes)
        elif self.small >= SMALL_RECORDS:
            # What is dead stays: of a channel that goes, the first entry must go first.
            self._sweep = self._steps(self._together, last, frozenset(), 0)
        self._go()
        return self._sweep is not None

    def stop(self) -> None:
        """Do no more."""
        if self._sweep is not None:
            self._sweep.close()

    def _go(self) -> None:
        """Do a step, and the next one after a pause."""
        began = self._clock.seconds()
        if self._sweep is not None:
            next(self._sweep, None)
        if self._sweep is not None:
            self._clock.callLater(PAUSE * (self._clock.seconds() - began), self._go)

    def _steps(
        self, at: int, end: int, going: frozenset[int], size: int
    ) -> Generator[None, None, None]:
        self.small = 0
        try:
            while at < end:
                at = self._step(at, end, going)
                yield
        except (sqlite3.Error, ValueError) as error:
            self._trouble.failed(error)
        else:
            self._together = end
            self._dead -= going
            self._dead_bytes -= size
            self._trouble.passed()
        finally:
            self._sweep = None

    def _step(self, at: int, end: int, going: frozenset[int]) -> int:
        """Make one record of the next few; returns where the step after it begins."""
        records = self._next(at, end)
        if not records:
            return end
        first, last = records[0][0], records[-1][0]
        if first == last and not going:
            return last
        entries = [entry for record in records for entry in unpack(*record[1:])]
        kept = [entry for entry in entries if entry[0] not in going]
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
        """The next small records, or one that is not."""
        records: list[tuple[int, bytes, bytes, int]] = []
        size = 0
        for record in self._db.execute(SELECT, (at, end, STEP_RECORDS)):
            is_small = len(record[2]) < SMALL_BYTES
            if is_small or not records:
                records.append(record)
                size += len(record[2])
            if not is_small or size >= STEP_BYTES:
                break
        return records
