"""The journal: saves what happens in channels to a file, before anybody sees it.

What it has saved a process that dies cannot lose, and a machine that dies cannot a second later.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice

from twisted.logger import Logger

from recodex_monitor.channels.channel import CHUNK_SIZE, Channel
from recodex_monitor.history.compaction import SMALL_BYTES, Sweeping
from recodex_monitor.history.database import HistoryError, open_history
from recodex_monitor.history.records import ENDED, FORGOTTEN, INSERT, OPENED, Entry, pack
from recodex_monitor.history.syncing import Disk, InThread
from recodex_monitor.history.timestamps import moment, note_boot
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.retry import Trouble
from recodex_monitor.timing.slices import Turns

_log = Logger()

CATCH_UP = 64
"""Entries, at most 1 MB of messages, that are saved at once when more was missed."""

_GONE = -1


class Journal:
    """Saves channels to a file for a hub, and reads them when it is opened."""

    def __init__(
        self,
        file: str,
        clock: Clock,
        in_thread: InThread,
        *,
        sync: bool = False,
        now: Callable[[], str] = moment,
    ) -> None:
        """Do nothing yet.

        Args:
            file: a path.
            clock: tells the time, and calls later.
            in_thread: see InThread.
            sync: whether every save waits for the disk.
            now: the moment, see ``history.moment``.
        """
        self._file = os.path.realpath(file)
        self._clock = clock
        self._in_thread = in_thread
        self._sync = sync
        self._now = now
        self._closing = ExitStack()
        self._channels = self._records = 0
        self._forgotten: dict[int, int] = {}
        self._unsaved: dict[Channel, None] = {}
        self._catch_up = Turns(clock, self._catch_up_steps)
        self._trouble = Trouble(
            _log,
            clock,
            "cannot save the history, which is in memory only until that is possible",
            "the history is saved again, and whole",
        )

    def open(self) -> list[tuple[Channel, float]]:
        """Open the file; returns its channels, see ``Hub.restore``.

        Raises:
            HistoryError: the file cannot be used; it stays as it is.
        """
        lock, self._db, loaded = open_history(self._file, self._now(), sync=self._sync)
        self._disk = Disk(self._file, self._db, self._clock, self._in_thread)
        self._sweeping = Sweeping(self._db, self._clock)
        self._closing.callback(os.close, lock)
        self._closing.callback(self._db.close)
        self._closing.callback(self._disk.close)
        self._closing.callback(self._sweeping.stop)
        self._closing.callback(self._save_rest)
        self._channels, self._records = loaded.last_channel, loaded.last_record
        for number, size in loaded.dead.items():
            self._sweeping.died(number, size)
        self._sweeping.living_bytes = sum(channel.saved for channel, _ in loaded.channels)
        if loaded.is_short:
            self._renew(channel for channel, _ in loaded.channels if channel.end is None)
        note_boot(lock, self._now())
        return loaded.channels

    def _renew(self, channels: Iterable[Channel]) -> None:
        """Save channels again, as others: numbers that are missing now will be given anew.

        All at once, or the file stays as it is: a channel must not be in it twice, nor missing.
        """
        self._db.execute("BEGIN")
        for channel in channels:
            self.forget(channel)
            channel.renew()
            self._unsaved[channel] = None
        for _ in self._catch_up_steps():
            pass
        if self._trouble:
            raise HistoryError(f"cannot write {self._file}")
        self._db.execute("COMMIT")

    @property
    def works(self) -> bool:
        """Whether it saves, as far as is known."""
        return not self._trouble

    def save(self, channels: Collection[Channel]) -> None:
        """Save what has been added to channels, and their ends; see ``hub.Journal``."""
        if self._trouble or not self._save(channels):
            missed = (channel for channel in channels if channel.number != _GONE)
            self._unsaved.update(dict.fromkeys(missed))
            return
        for channel in channels:
            if channel.number > 0:
                self._sweeping.living_bytes += len(channel.log) - channel.saved
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

    def forget(self, channel: Channel) -> None:
        """Note that a channel is to go; the file knows it by the next save or tick."""
        if channel.saved:
            self._forgotten[channel.number] = channel.saved
            self._sweeping.living_bytes -= channel.saved
        channel.number = _GONE
        self._unsaved.pop(channel, None)

    def tick(self) -> None:
        """Do what need not be done at once; call it every second."""
        if self._trouble:
            if self._trouble.may_try:
                self._catch_up()
        elif self._forgotten:
            self._write([], [])
        self._disk.written |= self._sweeping.tick(self._records)
        self._disk.tick()

    def close(self) -> None:
        """Save what is left and close the file, all of which is then on the disk."""
        self._closing.close()

    def _save_rest(self) -> None:
        if self._trouble or self._forgotten:
            for _ in self._catch_up_steps():
                pass

    def _entries(self, channel: Channel, most: int | None = None) -> Iterator[Entry]:
        """What the file does not have of a channel, of which it may have nothing.

        Args:
            channel: the channel.
            most: chunks of its log; the end stands behind the last of all only.
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
        """Add a record, with what was forgotten; returns whether that was possible."""
        for number in self._forgotten:
            heads += number, FORGOTTEN, 0
        try:
            record = pack(heads, pieces)
            self._db.execute(INSERT, (self._records + 1, *record))
        except Exception as error:
            # Whatever it is, browsers must be served.
            self._trouble.failed(error)
            return False
        self._records += 1
        self._disk.written = True
        self._sweeping.small += len(record[1]) < SMALL_BYTES
        for number, size in self._forgotten.items():
            self._sweeping.died(number, size)
        self._forgotten.clear()
        return True

    def _catch_up_steps(self) -> Iterator[None]:
        while self._save_some():
            if not self._unsaved:
                self._trouble.passed()
                return
            yield

    def _save_some(self) -> bool:
        """Save some of what was missed; returns whether that was possible."""
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
            self._sweeping.living_bytes += size
            channel.saved += size
            if channel.saved == len(channel.log):
                del self._unsaved[channel]
        return True


def _add(heads: list[int], pieces: list[bytes | bytearray], entries: Iterable[Entry]) -> None:
    for number, kind, piece in entries:
        heads += number, kind, len(piece)
        pieces.append(piece)
