"""The SQLite database of a history: how it is opened, locked, checked, and found wrong.

It has one table, to which records are added at the end; compaction removes old ones.
"""

import fcntl
import gc
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import quote

from recodex_monitor.history.records import CREATE, SELECT, Loaded, load, verify
from recodex_monitor.history.timestamps import was_other_boot

APPLICATION = int.from_bytes(b"ReCo", sys.byteorder)
"""The ``application_id`` of our databases.

It differs with the byte order of the machine, and so do the numbers in records.
"""

VERSION = 1
"""The ``user_version``, which grows when the meaning of records changes."""

_PRAGMAS = ("wal_autocheckpoint=0", "journal_size_limit=0", "secure_delete=OFF")
UNWRITABLE = (
    *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_AUTH),
)
"""SQLite's codes of files that cannot be written."""


class HistoryError(Exception):
    """Why a file cannot be used, as a text for people."""


class InUse(HistoryError):
    """A monitor runs with the file."""


def open_history(
    file: str, now: str, *, sync: bool = False
) -> tuple[int, sqlite3.Connection, Loaded]:
    """Open a file for this process alone; a missing one is made, with nothing in it.

    Args:
        file: a path without symbolic links.
        now: the moment at which ages are taken.
        sync: whether each transaction waits for the disk.

    Returns: a descriptor that keeps other monitors away until it is closed, the database, and
        what it holds.

    Raises:
        HistoryError: the file cannot be used; it stays as it is.
    """
    _require_writable(file)
    lock = _lock(file, os.O_RDWR | os.O_CREAT)
    with ExitStack() as undo, explained(file):
        undo.callback(os.close, lock)
        may_lack_newest = was_other_boot(lock, now) and os.path.exists(f"{file}-wal")
        db = connect(file)
        undo.callback(db.close)
        _prepare(db, file, sync)
        with _without_collections():
            loaded = load(db, now)
        undo.pop_all()
    return lock, db, loaded._replace(may_lack_newest=may_lack_newest)


def check(file: str) -> None:
    """Find out whether a monitor could start with a file; changes nothing.

    Raises:
        InUse: a monitor runs with it; nothing else was checked.
        HistoryError: it could not.
    """
    file = os.path.realpath(file)
    if os.path.exists(_lock_file(file)):
        os.close(_lock(file, os.O_RDONLY))
    _require_writable(file)
    if not os.path.exists(file):
        return
    # A database that was closed properly has no WAL; opened as immutable, it does not get one.
    how = "mode=ro" if os.path.exists(f"{file}-wal") else "immutable=1"
    with explained(file), closing(connect(f"file:{quote(file)}?{how}")) as db:
        if not is_new(db, file):
            for _, *record in db.execute(SELECT):
                verify(*record)


def connect(name: str) -> sqlite3.Connection:
    """Connect to a database; the connection never waits for locks.

    Any thread may use it, but only one at a time. Each statement is a transaction, unless one was
    begun.
    """
    return sqlite3.connect(name, timeout=0, isolation_level=None, check_same_thread=False, uri=True)


def _prepare(db: sqlite3.Connection, file: str, sync: bool) -> None:
    """Set the connection up, and make the table if the database is new."""
    has_nothing = is_new(db, file)
    if db.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
        raise HistoryError(f"{file} must be on a disk of this machine")
    for pragma in (*_PRAGMAS, f"synchronous={'FULL' if sync else 'NORMAL'}"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("BEGIN IMMEDIATE")  # fails if nothing can be written
    if has_nothing:
        db.execute(CREATE)
        db.execute(f"PRAGMA application_id={APPLICATION}")
        db.execute(f"PRAGMA user_version={VERSION}")
    db.execute("COMMIT")


def is_new(db: sqlite3.Connection, file: str) -> bool:
    """Whether a database is empty; if it is not, it must be a history of a known version."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not (application or version or tables):
        return True
    if application != APPLICATION:
        raise HistoryError(f"{file} is not a history of the monitor, name another file")
    if version > VERSION:
        text = f"{file} is of a newer monitor (version {version}, this one knows {VERSION})"
        raise HistoryError(f"{text}, install that one, or move the file away")
    return False


def _lock_file(file: str) -> str:
    # Not the database itself: closing any descriptor of it would release SQLite's own locks.
    return f"{file}.lock"


def _lock(file: str, flags: int) -> int:
    try:
        lock = os.open(_lock_file(file), flags, 0o644)
    except OSError as error:
        raise HistoryError(f"cannot open {_lock_file(file)}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise InUse(f"{file} is in use by another monitor") from None
    return lock


def _require_writable(file: str) -> None:
    for path in (os.path.dirname(file), file):
        try:
            os.stat(path)
        except OSError as error:
            if path == file and isinstance(error, FileNotFoundError):
                continue
            raise HistoryError(f"cannot write {path}: {error.strerror}") from None
        if not os.access(path, os.W_OK):
            raise HistoryError(f"cannot write {path}: no permission, or a read-only disk")


@contextmanager
def _without_collections() -> Iterator[None]:
    """Switch garbage collection off; loading leaves no garbage, and looking takes 20 % of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def explained(file: str) -> Iterator[None]:
    """Turn an exception into a HistoryError that says what is wrong and what to do."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError, MemoryError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in UNWRITABLE:
            # SQLite reports an I/O error where a full disk has no room for its first page.
            full = os.statvfs(os.path.dirname(file)).f_bavail == 0
            text = f"cannot write {file}: {'no space left on the disk' if full else error}"
        elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            text = f"{file} is in use by another program"
        elif code == sqlite3.SQLITE_NOTADB:
            text = f"{file} is not a history of the monitor, name another file"
        else:
            # A damaged length makes SQLite ask for more memory than there is.
            what = (
                "a record is too large for the memory" if isinstance(error, MemoryError) else error
            )
            text = f"{file} is damaged ({what}), move it away, and the monitor begins a new one"
        raise HistoryError(text) from None
