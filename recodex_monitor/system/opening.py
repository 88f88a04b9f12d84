"""Opening a file that may be on a disk that hangs, while the event loop goes on."""

import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from recodex_monitor.system.outputs import Output

WAIT = 0.5
"""Seconds that the event loop waits for a new log at most."""


class Opener:
    """Opens outputs, each in a thread, since a disk that hangs may hold one for ever."""

    def __init__(self, seconds: float = WAIT) -> None:
        """Open nothing yet; the caller of ``open`` waits this many seconds at most."""
        self._seconds = seconds
        self._hanging: set[str] = set()

    def open(self, path: str, work: Callable[[], Output]) -> Output:
        """Open an output, or give up; then it is closed if it opens later.

        Args:
            path: what is opened, for people.
            work: opens it; called in a thread.

        Raises:
            OSError: it cannot be opened, or not in time; has the path, and a reason for people.
        """
        if path in self._hanging:
            raise _timeout(path)
        opening: Future[Output] = Future()
        threading.Thread(target=_run, args=(work, opening), name="opening", daemon=True).start()
        wait((opening,), self._seconds)
        if opening.done():
            return opening.result()
        self._hanging.add(path)
        opening.add_done_callback(lambda _: self._came_late(path, opening))
        raise _timeout(path)

    def _came_late(self, path: str, opening: "Future[Output]") -> None:
        if opening.exception() is None:
            opening.result().close()
        self._hanging.discard(path)


def _run(work: Callable[[], Output], opening: "Future[Output]") -> None:
    try:
        output = work()
    except Exception as error:
        opening.set_exception(error)
    else:
        opening.set_result(output)


def _timeout(path: str) -> OSError:
    return OSError(errno.ETIMEDOUT, "its disk does not answer", path)
