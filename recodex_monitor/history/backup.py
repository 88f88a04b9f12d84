"""A copy of a history file as it is at one moment, also while a monitor writes to it."""

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from typing import NamedTuple
from urllib.parse import quote

from recodex_monitor.history.database import (
    APPLICATION,
    UNWRITABLE,
    HistoryError,
    connect,
    explained,
    is_new,
)
from recodex_monitor.history.records import load
from recodex_monitor.history.timestamps import moment

PATIENCE = 10_000
"""Milliseconds to wait for a lock, which the monitor holds for moments only."""

_HEADER, _APPLICATION_AT = 100, 68
"""The bytes of SQLite's header, and where the ``application_id`` is in it."""


class Copied(NamedTuple):
    """What a copy holds.

    Attributes:
        channels: that are kept.
        size: bytes of the file.
    """

    channels: int
    size: int


def copy(source: str, target: str) -> Copied:
    """Copy a history, and read the copy as a start would; nothing else is changed.

    An earlier copy is replaced once the new one is complete and on the disk, and any other file
    is refused. The copy can be read by this process' user only.

    Args:
        source: the history file, of a monitor that may run.
        target: the file to make.

    Raises:
        HistoryError: there is no copy; an earlier one stays.
    """
    source, target = os.path.realpath(source), os.path.realpath(target)
    if not os.path.exists(source):
        raise HistoryError(f"{source} does not exist; the monitor makes it at its first start")
    _require_replaceable(target)
    try:
        number, made = tempfile.mkstemp(prefix=".backup-", dir=os.path.dirname(target))
    except OSError as error:
        raise HistoryError(f"cannot write {target}: {error.strerror}") from None
    try:
        with closing(os.fdopen(number)):
            _write(source, made)
            found = _read(made)
            os.fsync(number)
        os.replace(made, target)
        _sync_folder(os.path.dirname(target))
    finally:
        with suppress(FileNotFoundError):
            os.unlink(made)
    return found


def _write(source: str, made: str) -> None:
    # A database that was closed properly has no WAL; opened as immutable, it does not get one.
    is_idle = not os.path.exists(f"{source}-wal")
    _vacuum(source, made, "immutable=1" if is_idle else "mode=ro")
    if is_idle and os.path.exists(f"{source}-wal"):
        # A monitor started meanwhile.
        os.truncate(made, 0)
        _vacuum(source, made, "mode=ro")


def _vacuum(source: str, made: str, how: str) -> None:
    with explained(source), closing(connect(f"file:{quote(source)}?{how}")) as db:
        db.execute(f"PRAGMA busy_timeout={PATIENCE}")
        if is_new(db, source):
            raise HistoryError(f"{source} is empty: no monitor has saved anything yet")
        try:
            db.execute("VACUUM INTO ?", (made,))
        except sqlite3.OperationalError as error:
            # These errors say that the database is locked or damaged.
            if error.sqlite_errorcode & 0xFF not in UNWRITABLE:
                raise
            folder = os.path.dirname(made)
            raise HistoryError(f"cannot copy {source} to {folder}: {error}") from None


def _read(made: str) -> Copied:
    with explained(made), closing(connect(f"file:{quote(made)}?immutable=1")) as db:
        loaded = load(db, moment())
    return Copied(len(loaded.channels), os.path.getsize(made))


def _require_replaceable(target: str) -> None:
    """Raise HistoryError if a file is there that is no copy of a history, or is one in use."""
    if not os.path.lexists(target):
        return
    try:
        with open(target, "rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise HistoryError(f"cannot replace {target}: {error.strerror}") from None
    # Monitors leave their lock beside the file; copies have none.
    if os.path.exists(f"{target}.lock"):
        raise HistoryError(f"{target} is the history of a monitor; name another file")
    application = header[_APPLICATION_AT : _APPLICATION_AT + 4]
    if header and application != APPLICATION.to_bytes(4, "big"):
        raise HistoryError(f"{target} is not a copy of a history; name another file")


def _sync_folder(folder: str) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
