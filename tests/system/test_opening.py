"""Opening a file on a disk that may hang."""

import contextlib
import errno
import io
import threading

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.system.opening import Opener
from recodex_monitor.system.outputs import Output, Stream

LIMIT = 30.0
"""Seconds that a test waits for a thread at most."""


class Kept(Stream):
    """An output that tells when it is closed."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.closed = threading.Event()

    def close(self) -> None:
        """Release it."""
        self.closed.set()


class OpenerTests(SynchronousTestCase):
    """Outputs that open at once, late, or not at all."""

    def setUp(self) -> None:
        """An output, and a disk that hangs until it is told otherwise."""
        self.prompt, self.patient, self.output = Opener(0), Opener(LIMIT), Kept()
        self.answers = threading.Event()
        self.addCleanup(self.answers.set)

    def late(self) -> Output:
        """Open the output as soon as the disk answers."""
        self.answers.wait(LIMIT)
        return self.output

    def join(self) -> None:
        """Wait until no thread opens anything."""
        for thread in threading.enumerate():
            if thread.name == "opening":
                thread.join(LIMIT)

    def test_at_once(self) -> None:
        """What opens in time is returned, and what fails is raised as it is."""
        self.assertIs(self.patient.open("a", lambda: self.output), self.output)
        self.assertFalse(self.output.closed.is_set())

        def fail() -> Output:
            raise TimeoutError(errno.ETIMEDOUT, "of the network", "a")

        error = self.assertRaises(TimeoutError, self.patient.open, "a", fail)
        self.assertEqual(error.strerror, "of the network")

    def test_late(self) -> None:
        """What does not open in time is an error, and is closed when it has opened after all."""
        error = self.assertRaises(OSError, self.prompt.open, "a", self.late)
        self.assertEqual((error.filename, error.strerror), ("a", "its disk does not answer"))
        self.assertFalse(self.output.closed.is_set())
        self.answers.set()
        self.assertTrue(self.output.closed.wait(LIMIT))

    def test_again(self) -> None:
        """As long as a path hangs no other thread waits for it; then it is tried again."""
        calls: list[str] = []

        def late() -> Output:
            calls.append("late")
            return self.late()

        for _ in range(3):
            self.assertRaises(OSError, self.prompt.open, "a", late)
        self.answers.set()
        self.join()
        self.assertEqual(calls, ["late"])
        with contextlib.suppress(OSError):
            self.prompt.open("a", late)
        self.join()
        self.assertEqual(calls, ["late", "late"])

    def test_late_error(self) -> None:
        """What fails late is an error once only."""

        def fail() -> Output:
            self.answers.wait(LIMIT)
            raise OSError(errno.EIO, "broken", "a")

        error = self.assertRaises(OSError, self.prompt.open, "a", fail)
        self.assertEqual(error.errno, errno.ETIMEDOUT)
        self.answers.set()
