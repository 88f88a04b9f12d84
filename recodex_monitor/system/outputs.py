"""Outputs of the log: a file that is rotated, or something that is only written to.

Only a regular file is rotated, renamed or created. A pipe, a device, and whatever a link in /dev or
/proc leads to, such as /dev/stdout, is written to as it is.
"""

import errno
import itertools
import os
import select
import stat
import sys
from contextlib import suppress
from typing import Any, Protocol

from recodex_monitor.settings.schema import STDERR
from recodex_monitor.system.paths import SYSTEM, descriptor_of, is_of_system

_PIECE = 4096  # bytes that a pipe takes at once if it is ready at all, see pipe(7)


class Output(Protocol):
    """Where lines go; used by one thread at a time.

    Attributes:
        max_batch: bytes that should be written at once at most; 0 for any number.
        encoding: of its lines.
    """

    max_batch: int
    encoding: str

    def write(self, lines: bytes) -> None:
        """Write whole lines; may block.

        Raises:
            OSError: they cannot be written; the next ones may be.
        """

    def reopen(self) -> None:
        """Open it again, if it was opened by its path."""

    def close(self) -> None:
        """Release it."""


class Descriptor:
    """A descriptor that the process was started with."""

    max_batch = 0

    def __init__(self, number: int, encoding: str = "utf-8") -> None:
        """Write to this descriptor, which has this encoding."""
        self.number = number
        self.encoding = encoding

    def write(self, lines: bytes) -> None:
        """Write all of it."""
        _write_all(self.number, lines)

    def reopen(self) -> None:
        """Do nothing: it has no path."""

    def close(self) -> None:
        """Do nothing: others may use it."""


class Stream:
    """An object that stands for standard error and has no descriptor."""

    max_batch = 0
    encoding = "utf-8"

    def __init__(self, stream: Any) -> None:
        """Write to this stream; None writes nothing."""
        self._stream = stream

    def write(self, lines: bytes) -> None:
        """Write it."""
        if self._stream is not None:
            self._stream.write(lines.decode())

    def reopen(self) -> None:
        """Do nothing: it has no path."""

    def close(self) -> None:
        """Do nothing: others may use it."""


class File:
    """A path. If it names a regular file, or nothing yet, that is rotated by its size."""

    encoding = "utf-8"

    def __init__(self, path: str, max_size: int, rotations: int) -> None:
        """Open it.

        Args:
            path: its rotated files are ``path.1``, which is the newest, and so on.
            max_size: bytes before it is rotated; 0 for never.
            rotations: how many rotated files are kept; 0 for no rotation.

        Raises:
            OSError: it cannot be written; has the path, and a reason for people.
        """
        self._path = os.path.abspath(path)
        self._rotations = rotations
        self.max_batch = max_size if rotations else 0
        self._descriptor: int | None = self._open()

    def write(self, lines: bytes) -> None:
        """Write lines, after a rotation if it is due.

        If the file cannot be rotated, they are written all the same before the error is raised.
        """
        if self._descriptor is None:
            self._descriptor = self._open()
        failed = self._rotate(self._descriptor) if self._is_due(len(lines)) else None
        if self._descriptor is None:
            self._descriptor = self._open()
        _write_all(self._descriptor, lines)
        if failed is not None:
            raise failed

    def reopen(self) -> None:
        """Close it; the next line opens it again, as a new one if it was moved away."""
        self.close()

    def close(self) -> None:
        """Close it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _is_due(self, more: int) -> bool:
        if not self.max_batch or self._descriptor is None:
            return False
        found = os.fstat(self._descriptor)
        is_full = found.st_size > 0 and found.st_size + more > self.max_batch
        return is_full and stat.S_ISREG(found.st_mode) and not is_of_system(self._path)

    def _rotate(self, descriptor: int) -> OSError | None:
        path = os.path.realpath(self._path)
        self._descriptor = None
        os.close(descriptor)
        names = [path, *(f"{path}.{number}" for number in range(1, self._rotations + 1))]
        try:
            for name, older in reversed(list(itertools.pairwise(names))):
                with suppress(FileNotFoundError):
                    os.rename(name, older)
        except OSError as error:
            return error
        return None

    def _open(self) -> int:
        return _opened(self._path)


def _opened(name: str, *, may_create: bool = True) -> int:
    path = os.path.realpath(name)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    is_fixed = is_of_system(name) or os.path.dirname(path) in SYSTEM
    create = os.O_CREAT if may_create and not is_fixed else 0
    flags = os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK
    if mode is not None and stat.S_ISFIFO(mode):
        # Opened for reading too, it waits for no reader, and does not fail when one goes away.
        flags, create = flags | os.O_RDWR, 0
    else:
        _require_usable(path, mode)
        flags |= os.O_WRONLY
    descriptor = os.open(name, flags | create, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def _require_usable(path: str, mode: int | None) -> None:
    if mode is not None and stat.S_ISSOCK(mode):
        raise OSError(errno.ENXIO, "is a socket, name a file", path)
    if mode is not None and stat.S_ISBLK(mode):
        raise OSError(errno.EINVAL, "is a disk, name a file", path)


def open_output(path: str, max_size: int, rotations: int) -> Output:
    """The output that a path of the settings names; ``-`` is standard error.

    Raises:
        OSError: it cannot be written; has the path, and a reason for people.
    """
    if path == STDERR:
        return stderr()
    number = descriptor_of(path)
    if number is None:
        return File(path, max_size, rotations)
    try:
        os.write(number, b"")
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    return Descriptor(number)


def objection(path: str) -> str | None:
    """Why a path of the settings could not be opened; None if it could. Changes nothing."""
    if path == STDERR or descriptor_of(path) is not None:
        return None
    try:
        os.close(_opened(os.path.abspath(path), may_create=False))
    except FileNotFoundError as error:
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder) or folder in SYSTEM:
            return error.strerror
        is_writable = os.access(folder, os.W_OK | os.X_OK)
        return None if is_writable else f"{folder}: no permission, or a read-only disk"
    except OSError as error:
        return error.strerror
    return None


def stderr() -> Output:
    """Standard error, even if twistd has redirected it."""
    try:
        assert sys.__stderr__ is not None
        return Descriptor(sys.__stderr__.fileno(), sys.__stderr__.encoding)
    except (AssertionError, OSError, ValueError):
        return Stream(sys.__stderr__)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Another process has made our common pipe non-blocking.
            select.select((), (descriptor,), ())


def write_within(output: Output, data: bytes, seconds: float) -> bool:
    """Write in this thread, but give up if the descriptor takes nothing for this many seconds.

    Returns: whether everything was written.

    Raises:
        OSError: it cannot be written.
    """
    if not isinstance(output, Descriptor):
        output.write(data)
        return True
    ready = select.poll()
    ready.register(output.number, select.POLLOUT)
    for start in range(0, len(data), _PIECE):
        if not ready.poll(seconds * 1000):
            return False
        output.write(data[start : start + _PIECE])
    return True


def tell(text: str, stream: Any = None) -> None:
    """Print a line to standard error, without waiting for ever if nobody reads it.

    Args:
        text: for people.
        stream: written instead of the standard error that the process was started with.
    """
    stream = sys.__stderr__ if stream is None else stream
    with suppress(OSError, ValueError):
        if stream is sys.__stderr__:
            output = stderr()
            data = f"{text}\n".encode(output.encoding, errors="backslashreplace")
            write_within(output, data, seconds=1)
        else:
            print(text, file=stream, flush=True)
