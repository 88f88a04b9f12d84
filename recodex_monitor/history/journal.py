"""The journal: saves what happens in channels to the history file, before any client sees it.

What it has saved survives the death of the process, and a second later that of the machine.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice

from twisted.logger import Logger

from recodex_monitor.channels.channel import CHUNK_SIZE, Channel
from recodex_monitor.channels.tombstones import Tombstone
from recodex_monitor.history.compaction import SMALL_BYTES, Compaction
from recodex_monitor.history.database import HistoryError, open_history
from recodex_monitor.history.records import (
    ENDED,
    INSERT,
    OPENED,
    SUMMARY,
    TOMBSTONE,
    Entry,
    pack,
    summary,
)
from recodex_monitor.history.syncing import InThread, Syncing
from recodex_monitor.history.timestamps import moment, note_boot
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.retry import Retry
from recodex_monitor.timing.slices import TimeSlices

_log = Logger()

CATCH_UP = 64
"""Entries, at most 1 MB of messages, that one step saves of what could not be saved before."""

_GONE = -1
"""The number of a channel that was forgotten."""


class Journal:
    """Saves channels to a file for a hub, and reads them when it is opened.

    Attributes:
        tombstones: those that were in the file when it was opened, see ``Hub.restore``.
    """

    def __init__(
        self,
        file: str,
        clock: Clock,
        in_thread: InThread,
        most_tombstones: Callable[[], int],
        *,
        sync: bool = False,
        now: Callable[[], str] = moment,
    ) -> None:
        """Open nothing yet.

        Args:
            file: the path of the history file.
            clock: tells the time, and calls later.
            in_thread: see InThread.
            most_tombstones: gives how many the file keeps.
            sync: whether every save waits for the disk.
            now: the time for people and other processes, see ``timestamps.moment``.
        """
        self._file = os.path.realpath(file)
        self._clock = clock
        self._in_thread = in_thread
        self._most_tombstones = most_tombstones
        self._sync = sync
        self._now = now
        self._closing = ExitStack()
        self.tombstones: list[Tombstone] = []
        self._channels = self._records = 0
        self._tombstones: dict[int, tuple[int, Tombstone | None]] = {}
        self._unsaved: dict[Channel, None] = {}
        self._catch_up = TimeSlices(clock, self._catch_up_steps)
        self._retry = Retry(
            _log,
            clock,
            "history_save",
            "cannot save the history; until it can, new messages are in memory only",
            "the history is saved again; nothing is missing in the file",
        )

    def open(self) -> list[tuple[Channel, float]]:
        """Open the file; returns its channels, see ``Hub.restore``.

        Raises:
            HistoryError: the file cannot be used; it stays as it is.
        """
        lock, self._db, loaded = open_history(self._file, self._now(), sync=self._sync)
        self._syncing = Syncing(self._file, self._db, self._clock, self._in_thread)
        self._compaction = Compaction(self._db, self._clock, self._most_tombstones)
        self._closing.callback(os.close, lock)
        self._closing.callback(self._db.close)
        self._closing.callback(self._syncing.close)
        self._closing.callback(self._compaction.stop)
        self._closing.callback(self._save_rest)
        self.tombstones = loaded.tombstones
        self._channels, self._records = loaded.last_channel, loaded.last_record
        for number, size in loaded.dead.items():
            self._compaction.add_dead(number, size)
        self._compaction.add_summaries(loaded.summaries)
        self._compaction.living_bytes = sum(channel.saved for channel, _ in loaded.channels)
        if loaded.may_lack_newest:
            self._renew(channel for channel, _ in loaded.channels if channel.end is None)
        note_boot(lock, self._now())
        return loaded.channels

    def _renew(self, channels: Iterable[Channel]) -> None:
        """Save channels again under new epochs, in one transaction.

        Message numbers that were lost in the crash would otherwise be used again. If that fails the
        file stays as it is: a channel must be in it neither twice nor not at all.
        """
        self._db.execute("BEGIN")
        for channel in channels:
            self.forget(channel)
            channel.take_new_epoch()
            self._unsaved[channel] = None
        for _ in self._catch_up_steps():
            pass
        if self._retry.is_failing:
            raise HistoryError(f"cannot write {self._file}")
        self._db.execute("COMMIT")

    @property
    def works(self) -> bool:
        """Whether it saves, as far as its last attempt showed."""
        return not self._retry.is_failing

    def save(self, channels: Collection[Channel]) -> None:
        """Save what was added to channels, and their ends; see ``hub.Journal``."""
        if self._retry.is_failing or not self._save(channels):
            missed = (channel for channel in channels if channel.number != _GONE)
            self._unsaved.update(dict.fromkeys(missed))
            return
        for channel in channels:
            if channel.number > 0:
                self._compaction.living_bytes += len(channel.log) - channel.saved
                channel.saved = len(channel.log)

    def _save(self, channels: Collection[Channel]) -> bool:
        heads: list[int] = []
        pieces: list[bytes | bytearray] = []
        for channel in channels:
            size = len(channel.log) - channel.saved
            if channel.number > 0 and channel.end is None and 0 < size <= CHUNK_SIZE:
                heads += channel.number, channel.count, size
                pieces.append(channel.log[-size:])
            else:
                _add(heads, pieces, self._entries(channel))
        return not heads or self._write(heads, pieces)

    def forget(self, channel: Channel, tombstone: Tombstone | None = None) -> None:
        """Forget a channel; its tombstone is written by the next save or tick."""
        if channel.saved:
            self._tombstones[channel.number] = channel.saved, tombstone
            self._compaction.living_bytes -= channel.saved
        channel.number = _GONE
        self._unsaved.pop(channel, None)

    def tick(self) -> None:
        """Retry, write tombstones, compact and sync where due; to be called every second."""
        if self._retry.is_failing:
            if self._retry.may_try:
                self._catch_up()
        elif self._tombstones:
            self._write([], [])
        self._syncing.written |= self._compaction.tick(self._records)
        self._syncing.tick()

    def close(self) -> None:
        """Save what is left and close the file, which is then complete on the disk."""
        self._closing.close()

    def _save_rest(self) -> None:
        if self._retry.is_failing or self._tombstones:
            for _ in self._catch_up_steps():
                pass

    def _entries(self, channel: Channel, most: int | None = None) -> Iterator[Entry]:
        """The entries of a channel that the file does not have yet, from its OPENED on.

        Args:
            channel: the channel.
            most: limits the chunks of its log; its ENDED comes only after the last chunk of all.
        """
        if channel.number == _GONE or channel.saved == len(channel.log):
            return
        if not channel.saved:
            self._channels += 1
            channel.number = self._channels
            yield channel.number, OPENED, f"{channel.epoch} {channel.id}".encode()
        count = 0
        for piece, count in islice(channel.pieces(channel.saved), most):
            yield channel.number, count, piece
        if channel.end is not None and count == channel.count:
            yield channel.number, ENDED, f"{channel.end} {self._now()}".encode()

    def _write(self, heads: list[int], pieces: list[bytes | bytearray]) -> bool:
        """Write a record, with the tombstones that are due; returns whether that succeeded."""
        _add(heads, pieces, self._of_tombstones())
        try:
            record = pack(heads, pieces)
            self._db.execute(INSERT, (self._records + 1, *record))
        except Exception as error:
            # Whatever has failed, clients must be served.
            self._retry.failed(error)
            return False
        self._records += 1
        self._syncing.written = True
        self._compaction.small += len(record[1]) < SMALL_BYTES
        for number, (size, tombstone) in self._tombstones.items():
            self._compaction.add_dead(number, size)
            if tombstone is not None:
                self._compaction.add_summaries([number])
        self._tombstones.clear()
        return True

    def _of_tombstones(self) -> Iterator[Entry]:
        """The entries of the tombstones that are due."""
        now = self._now() if self._tombstones else ""
        for number, (_, tombstone) in self._tombstones.items():
            yield number, TOMBSTONE, now.encode()
            if tombstone is not None:
                yield number, SUMMARY, summary(tombstone, now)

    def _catch_up_steps(self) -> Iterator[None]:
        while self._save_some():
            if not self._unsaved:
                self._retry.succeeded()
                return
            yield

    def _save_some(self) -> bool:
        """Save some of what could not be saved before; returns whether that succeeded."""
        heads: list[int] = []
        pieces: list[bytes | bytearray] = []
        added: dict[Channel, int] = {}
        for channel in self._unsaved:
            entries = [*self._entries(channel, CATCH_UP)]
            _add(heads, pieces, entries)
            added[channel] = sum(len(piece) for _, kind, piece in entries if kind > 0)
            if len(pieces) >= CATCH_UP:
                break
        if not self._write(heads, pieces):
            return False
        for channel, size in added.items():
            self._compaction.living_bytes += size
            channel.saved += size
            if channel.saved == len(channel.log):
                del self._unsaved[channel]
        return True


def _add(heads: list[int], pieces: list[bytes | bytearray], entries: Iterable[Entry]) -> None:
    for number, kind, piece in entries:
        heads += number, kind, len(piece)
        pieces.append(piece)
