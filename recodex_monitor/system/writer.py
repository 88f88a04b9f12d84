"""The writer: a thread that writes the lines of the log, so that the event loop never waits.

Lines wait in a bounded buffer. If what takes them stalls, such as a pipe that nobody reads or a
disk that hangs, the buffer gets full; further lines are dropped and counted until all that wait
are written, and then a line says how many.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial

from recodex_monitor.system.outputs import Output, tell, write_within

STALLED = "nothing takes its lines"
"""Why lines are dropped, in ``Writer.dropped``."""

FIRST_WAIT = 1.0
"""Seconds that a line waits for a pipe before the writer was started."""

BATCH = 2**18
"""Bytes that are written at once, unless one line is longer.

Each write may wait 5 ms for the interpreter (``sys.getswitchinterval``) while the loop is busy, so
a thread that wrote every line by itself could not keep up with a flood.
"""

_REOPEN = None  # in the buffer: reopen the output


class Writer:
    """Writes lines to an output; until it is started, in the thread of the caller.

    Attributes:
        output: where the lines go.
        size: bytes of lines that may wait.
        dropped: lines that were dropped, by reason.
    """

    def __init__(
        self,
        output: Output,
        size: int,
        notice: Callable[[int, float], bytes],
        dropped: Counter[str],
    ) -> None:
        """Write nothing yet.

        Args:
            output: where the lines go.
            size: bytes of lines that may wait.
            notice: makes the line that says how many were dropped, and for how many seconds.
            dropped: counts them.
        """
        self.output = output
        self.size = size
        self.dropped = dropped
        self._notice = notice
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._lines: deque[bytes | None] = deque()
        self._waiting = 0
        self._is_writing = self._is_ending = self._has_reported = False
        self._missed, self._missed_at = 0, 0.0

    def start(self) -> None:
        """Write in a thread from now on; call it once the process no longer forks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def write(self, line: bytes) -> None:
        """Write a line soon, or drop it if too much is waiting; never blocks once started."""
        if self._thread is None:
            self._attempt(lambda: self._write_here(line))
            return
        with self._changed:
            if self._missed or (self._waiting and self._waiting + len(line) > self.size):
                self._miss()
                return
            self._lines.append(line)
            self._waiting += len(line)
            if not self._is_writing:
                self._changed.notify_all()

    def _write_here(self, line: bytes) -> None:
        # Wait once only, not for each line of the start.
        if not write_within(self.output, line, 0 if self._missed else FIRST_WAIT):
            self._miss()

    def reopen(self) -> None:
        """Open the output again, after the lines that were written before."""
        if self._thread is None:
            self._reopen()
            return
        with self._changed:
            # Once is enough, however often it is asked for while nothing is written.
            if not self._lines or self._lines[-1] is not _REOPEN:
                self._lines.append(_REOPEN)
                self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything is written, or for these seconds; returns whether it is."""
        if self._thread is None:
            return True
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_busy(), seconds)

    def end(self, seconds: float) -> None:
        """Have the output closed after the last line; waits for that, at most these seconds.

        Nothing may be written afterwards.
        """
        if self._thread is None:
            self._attempt(self.output.close)
            return
        self.flush(seconds)
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()

    def _is_busy(self) -> bool:
        return bool(self._is_writing or self._lines or self._missed)

    def _miss(self) -> None:
        if not self._missed:
            self._missed_at = time.monotonic()
        self._missed += 1
        self.dropped[STALLED] += 1

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._is_ending or self._is_busy())
                if not self._is_busy():
                    break
                self._is_writing = True
                lines = self._next()
            if lines is _REOPEN:
                self._reopen()
            else:
                self._attempt(partial(self.output.write, lines))
        self._attempt(self.output.close)

    def _next(self) -> bytes | None:
        """What is to be done next: to reopen, or to write these lines.

        The notice comes when everything before it is written.
        """
        if self._lines and self._lines[0] is _REOPEN:
            return self._lines.popleft()
        if self._lines:
            return b"".join(self._batch())
        missed, self._missed = self._missed, 0
        return self._notice(missed, time.monotonic() - self._missed_at)

    def _batch(self) -> Iterator[bytes]:
        room = min(BATCH, self.output.max_batch or BATCH)
        while self._lines and (line := self._lines[0]) is not _REOPEN:
            room -= len(line)
            yield line
            self._lines.popleft()
            self._waiting -= len(line)
            if not self._lines or room < len(self._lines[0] or b""):
                break

    def _reopen(self) -> None:
        self._has_reported = False
        self._attempt(self.output.reopen)

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do it; the first time that it fails, standard error says so."""
        try:
            work()
        except OSError as error:
            if not self._has_reported:
                self._has_reported = True
                why = f"cannot write the log: {error}; the monitor continues without it"
                tell(f"recodex-monitor: {why}")
