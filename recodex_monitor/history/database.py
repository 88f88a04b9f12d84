"""The file of histories: what is in it, and how it is opened, read, and found wrong.

It is an SQLite database with one table, to which records are added at the end, until what no
channel needs any more is swept out. A record holds what has happened in one turn: entries, each
of a channel. To keep them together takes a third of the time of a row for each.
"""

import fcntl
import gc
import os
import sqlite3
import sys
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import NamedTuple
from urllib.parse import quote
from zlib import crc32

from recodex_monitor.channels.channel import CHUNK_SIZE, Channel, End

APPLICATION = int.from_bytes(b"ReCo", sys.byteorder)
"""The ``application_id`` of our databases; records have numbers in the machine's own order."""

VERSION = 1
"""The ``user_version``, which grows when records get another meaning."""

OPENED, ENDED, FORGOTTEN = 0, -1, -2
"""Kinds of entries: a channel's epoch and id; how and when it ended; that it is to go.

Any other kind is messages: their frames, and as the kind the number of the last of them.
"""

INSERT = "INSERT INTO log VALUES (?, ?, ?, ?)"
_CREATE = "CREATE TABLE log (id INTEGER PRIMARY KEY, heads BLOB, data BLOB, crc INTEGER)"
_SELECT = "SELECT id, heads, data, crc FROM log ORDER BY id"
_PRAGMAS = ("wal_autocheckpoint=0", "journal_size_limit=0", "secure_delete=OFF")
_UNWRITABLE = (
    *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_AUTH),
)

Entry = tuple[int, int, bytes]
"""A channel's number, the kind, and the data."""


class HistoryError(Exception):
    """Why a file cannot be used, as a text for people."""


class InUse(HistoryError):
    """A monitor runs with the file."""


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


def open_history(
    file: str, now: str, *, sync: bool = False
) -> tuple[int, sqlite3.Connection, Loaded]:
    """Open a file for this process alone; a missing one is made, with nothing in it.

    Args:
        file: a path without symbolic links.
        now: the moment, for which ages are told.
        sync: whether each transaction waits for the disk.

    Returns: a descriptor that keeps other monitors away until it is closed, the database, and
        what it holds.

    Raises:
        HistoryError: the file cannot be used; it stays as it is.
    """
    _require_writable(file)
    lock = _lock(file, os.O_RDWR | os.O_CREAT)
    with ExitStack() as undo, _plainly(file):
        undo.callback(os.close, lock)
        is_short = _is_of_another_run(lock, now) and os.path.exists(f"{file}-wal")
        db = connect(file)
        undo.callback(db.close)
        _prepare(db, file, sync)
        with _no_garbage():
            loaded = load(db, now)
        undo.pop_all()
    return lock, db, loaded._replace(is_short=is_short)


def note_run(lock: int, now: str) -> None:
    """Note in the lock's file that what is written from now on is so in this run of the machine."""
    # Where there is no room for it, there is none for a history.
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, _run(now), 0)
        os.fsync(lock)


def check(file: str) -> None:
    """Find whether a monitor could start with a file, and change nothing.

    Raises:
        InUse: one runs with it, so that nothing else was looked at.
        HistoryError: it could not.
    """
    file = os.path.realpath(file)
    if os.path.exists(_lock_file(file)):
        os.close(_lock(file, os.O_RDONLY))
    _require_writable(file)
    if not os.path.exists(file):
        return
    # A database that was closed well has no log beside it, and is read without making one.
    how = "mode=ro" if os.path.exists(f"{file}-wal") else "immutable=1"
    with _plainly(file), closing(connect(f"file:{quote(file)}?{how}")) as db:
        if not _is_new(db, file):
            for _, *record in db.execute(_SELECT):
                verify(*record)


def connect(name: str) -> sqlite3.Connection:
    """A connection that never waits for others, for any thread, but one at a time.

    Each statement is a transaction, unless one was begun.
    """
    return sqlite3.connect(name, timeout=0, isolation_level=None, check_same_thread=False, uri=True)


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
    for last_record, heads, data, crc in db.execute(_SELECT):  # noqa: B007
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


def moment() -> str:
    """Now, as a text of which another process can tell how long ago that was."""
    awake = time.clock_gettime(time.CLOCK_BOOTTIME)
    return f"{time.time():.3f} {awake:.3f} {_BOOT}"


def age(then: str, now: str) -> float:
    """The seconds from one moment to another, never less than 0.

    Within one run of the machine its wall clock is not asked, so that it may be set.
    """
    (wall, awake, boot), (wall_now, awake_now, boot_now) = then.split(" "), now.split(" ")
    if boot and boot == boot_now:
        return max(0.0, float(awake_now) - float(awake))
    return max(0.0, float(wall_now) - float(wall))


def _boot() -> str:
    """What names this run of the machine; empty where it has no name."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


_BOOT = _boot()


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


def _prepare(db: sqlite3.Connection, file: str, sync: bool) -> None:
    """Set a connection up, and the database where there is nothing in it."""
    is_new = _is_new(db, file)
    if db.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
        raise HistoryError(f"{file} must be on a disk of this machine")
    for pragma in (*_PRAGMAS, f"synchronous={'FULL' if sync else 'NORMAL'}"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("BEGIN IMMEDIATE")  # fails where nothing can be written
    if is_new:
        db.execute(_CREATE)
        db.execute(f"PRAGMA application_id={APPLICATION}")
        db.execute(f"PRAGMA user_version={VERSION}")
    db.execute("COMMIT")


def _is_new(db: sqlite3.Connection, file: str) -> bool:
    """Whether there is nothing in a database; what there is must be a history that we know."""
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
    # Not the database itself: to close it would take away the locks that SQLite has there.
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


def _is_of_another_run(lock: int, now: str) -> bool:
    """Whether what was written last was so in another run of the machine, as far as is known."""
    return os.pread(lock, 100, 0) not in (b"", _run(now))


def _run(now: str) -> bytes:
    return now.rpartition(" ")[2].encode()


def _require_writable(file: str) -> None:
    for place in (os.path.dirname(file), file):
        try:
            os.stat(place)
        except OSError as error:
            if place == file and isinstance(error, FileNotFoundError):
                continue
            raise HistoryError(f"cannot write {place}: {error.strerror}") from None
        if not os.access(place, os.W_OK):
            raise HistoryError(f"cannot write {place}: no permission, or a read-only disk")


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Do not look for garbage where there is none, which would take a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _plainly(file: str) -> Iterator[None]:
    """Tell in plain words what is wrong with a file."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _UNWRITABLE:
            # SQLite calls it an error of the disk where a full one has no room to begin.
            full = os.statvfs(os.path.dirname(file)).f_bavail == 0
            text = f"cannot write {file}: {'no space left on the disk' if full else error}"
        elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            text = f"{file} is in use by another program"
        elif code == sqlite3.SQLITE_NOTADB:
            text = f"{file} is not a history of the monitor, name another file"
        else:
            text = f"{file} is damaged ({error}), move it away, and the monitor begins a new one"
        raise HistoryError(text) from None
