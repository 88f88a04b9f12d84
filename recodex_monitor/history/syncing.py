"""Bringing a history to the disk, without having the loop wait for it."""

import os
import sqlite3
from collections.abc import Callable
from threading import Lock

from twisted.logger import Logger

from recodex_monitor.history.database import connect
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.retry import Trouble

_log = Logger()

CHECKPOINT = 16 * 2**20
"""Bytes of SQLite's log (the WAL) after which it is brought into the database.

The next save then waits for the disk, 0.4 ms here, since SQLite syncs the first page of a log.
"""

FULL = 64 * 2**20
"""Bytes of it after which the loop does the rest of that itself.

A thread gets to the end of the log only if nothing is saved meanwhile, which a flood may never
allow; the rest are a few pages.
"""

_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"

InThread = Callable[[Callable[[], object], Callable[[object], object]], object]
"""Calls the first in a thread, then the second in the loop, with what the first returned."""


class Disk:
    """Syncs a history's file, once a second where something was written."""

    def __init__(
        self, file: str, db: sqlite3.Connection, clock: Clock, in_thread: InThread
    ) -> None:
        """Open a connection for what is done in threads.

        Args:
            file: the database's.
            db: the loop's own connection to it.
            clock: the time.
            in_thread: see InThread.
        """
        self.written = False
        self._file = file
        self._db = db
        self._in_thread = in_thread
        self._side = connect(file)
        self._side.execute("PRAGMA synchronous=NORMAL")
        self._lock = Lock()
        self._is_busy = self._is_closed = False
        self._trouble = Trouble(
            _log, clock, "cannot bring the history to the disk", "the history is on the disk again"
        )

    def tick(self) -> None:
        """Begin to sync if something was written; call it every second."""
        if self.written and not self._is_busy and self._trouble.may_try:
            self.written, self._is_busy = False, True
            self._in_thread(self._sync, self._synced)

    def close(self) -> None:
        """Wait for the thread and be done."""
        with self._lock:
            self._is_closed = True
            self._side.close()

    def _sync(self) -> object:
        """Called in a thread; returns the bytes of a log of which pages are left, or an error."""
        with self._lock:
            try:
                return 0 if self._is_closed else self._sync_log()
            except (OSError, sqlite3.Error) as error:
                return error

    def _sync_log(self) -> int:
        with open(f"{self._file}-wal", "rb") as log:
            os.fdatasync(log.fileno())
            size = os.fstat(log.fileno()).st_size
        if size < CHECKPOINT:
            return 0
        _, pages, done = self._side.execute(_CHECKPOINT).fetchone()
        return size if done < pages else 0

    def _synced(self, result: object) -> None:
        self._is_busy = False
        try:
            if isinstance(result, int) and result >= FULL and not self._is_closed:
                self._db.execute(_CHECKPOINT)
        except sqlite3.Error as error:
            result = error
        if isinstance(result, Exception):
            self.written = True
            self._trouble.failed(result)
        else:
            self._trouble.passed()
