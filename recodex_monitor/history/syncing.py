"""Syncs a history to the disk in a thread, so that the event loop need not wait."""

import os
import sqlite3
from collections.abc import Callable
from threading import Lock

from twisted.logger import Logger

from recodex_monitor.history.database import connect
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.retry import Retry

_log = Logger()

CHECKPOINT = 16 * 2**20
"""Bytes of SQLite's write-ahead log (WAL) from which on it is copied into the database.

The next save then waits for the disk, about 0.4 ms, since SQLite syncs the first page of a WAL.
"""

FORCED = 64 * 2**20
"""Bytes of the WAL from which on the event loop finishes the checkpoint itself.

A thread reaches the WAL's end only if nothing is saved meanwhile, which a flood may never allow.
What is left for the loop is a few pages.
"""

_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"

InThread = Callable[[Callable[[], object], Callable[[object], object]], object]
"""Calls the first in a thread, then the second in the event loop with the first's result."""


class Syncing:
    """Syncs a history file once a second if something was written.

    Attributes:
        written: whether something was written since the last sync; set by the writer.
    """

    def __init__(
        self, file: str, db: sqlite3.Connection, clock: Clock, in_thread: InThread
    ) -> None:
        """Open a second connection, for the thread.

        Args:
            file: the database's path.
            db: the event loop's own connection to it.
            clock: tells the time.
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
        self._retry = Retry(
            _log,
            clock,
            "history_sync",
            "cannot sync the history to the disk",
            "the history is synced again",
        )

    def tick(self) -> None:
        """Begin to sync if something was written; to be called every second."""
        if self.written and not self._is_busy and self._retry.may_try:
            self.written, self._is_busy = False, True
            self._in_thread(self._sync, self._synced)

    def close(self) -> None:
        """Wait for the thread and close its connection."""
        with self._lock:
            self._is_closed = True
            self._side.close()

    def _sync(self) -> object:
        """Called in a thread; returns the size of a WAL with pages left, else 0, or an error."""
        with self._lock:
            try:
                return 0 if self._is_closed else self._sync_wal()
            except (OSError, sqlite3.Error) as error:
                return error

    def _sync_wal(self) -> int:
        with open(f"{self._file}-wal", "rb") as wal:
            os.fdatasync(wal.fileno())
            size = os.fstat(wal.fileno()).st_size
        if size < CHECKPOINT:
            return 0
        _, pages, done = self._side.execute(_CHECKPOINT).fetchone()
        return size if done < pages else 0

    def _synced(self, result: object) -> None:
        self._is_busy = False
        try:
            if isinstance(result, int) and result >= FORCED and not self._is_closed:
                self._db.execute(_CHECKPOINT)
        except sqlite3.Error as error:
            result = error
        if isinstance(result, Exception):
            self.written = True
            self._retry.failed(result)
        else:
            self._retry.succeeded()
