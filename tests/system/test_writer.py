"""The thread that writes the log."""

import threading
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.system import writer
from recodex_monitor.system.writer import STALLED, Writer


class Gate:
    """An output that takes lines only while it is open.

    Attributes:
        written: the lines that it has taken, and what else was done to it.
        opened: set while it takes lines.
        entered: released when a line waits for it.
    """

    max_batch = 1
    encoding = "utf-8"

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.error: OSError | None = None
        self.opened = threading.Event()
        self.opened.set()
        self.entered = threading.Semaphore(0)

    def write(self, lines: bytes) -> None:
        """Take lines as soon as the gate is open."""
        self.entered.release()
        self.opened.wait(10)
        if self.error is not None:
            raise self.error
        self.written.append(lines)

    def reopen(self) -> None:
        """Record it."""
        self.written.append(b"(reopened)")

    def close(self) -> None:
        """Record it."""
        self.written.append(b"(closed)")


class WriterTests(SynchronousTestCase):
    """A writer of ten bytes in front of a gate."""

    def setUp(self) -> None:
        """Make both, and catch what is told on standard error."""
        self.gate = Gate()
        self.dropped: Counter[str] = Counter()
        self.writer = Writer(self.gate, 10, lambda count, _: b"%d missed" % count, self.dropped)
        self.told: list[str] = []
        self.patch(writer, "tell", self.told.append)
        self.addCleanup(self.writer.end, 10)
        self.addCleanup(self.gate.opened.set)

    def stall(self) -> None:
        """Start it, and let a line wait at the closed gate."""
        self.writer.start()
        self.gate.opened.clear()
        self.writer.write(b"first")
        self.assertTrue(self.gate.entered.acquire(timeout=10))

    def test_before_start(self) -> None:
        """Before it is started, lines are written at once."""
        self.writer.write(b"line")
        self.assertEqual(self.gate.written, [b"line"])

    def test_all_in_order(self) -> None:
        """Nothing is lost and the order is kept if the output keeps up."""
        self.writer.start()
        lines = [b"%d" % number for number in range(1000)]
        for line in lines:
            self.writer.write(line)
            self.assertTrue(self.writer.flush(10))
        self.assertEqual(self.gate.written, lines)

    def test_stalled(self) -> None:
        """While the output takes nothing, what does not fit is dropped, counted, and said once."""
        self.stall()
        for number in range(20):
            self.writer.write(b"%05d" % number)
        self.assertFalse(self.writer.flush(0))
        self.assertEqual(self.dropped, {STALLED: 18})
        self.gate.opened.set()
        self.assertTrue(self.writer.flush(10))
        self.assertEqual(self.gate.written, [b"first", b"00000", b"00001", b"18 missed"])
        self.writer.write(b"after")
        self.assertTrue(self.writer.flush(10))
        self.assertEqual(self.gate.written[4:], [b"after"])

    def test_drops_until_all_is_written(self) -> None:
        """Once lines are dropped, the next one that is kept stands behind the notice."""
        self.stall()
        for line in (b"0123456789", b"dropped", b"x"):
            self.writer.write(line)
        self.gate.opened.set()
        self.writer.flush(10)
        self.assertEqual(self.gate.written, [b"first", b"0123456789", b"2 missed"])

    def test_batches(self) -> None:
        """What waits is written at once, as far as the output wants it."""
        self.gate.max_batch = 6
        self.stall()
        for line in (b"one", b"two", b"four"):
            self.writer.write(line)
        self.gate.opened.set()
        self.writer.flush(10)
        self.assertEqual(self.gate.written, [b"first", b"onetwo", b"four"])

    def test_long_line(self) -> None:
        """A line longer than the buffer is written if no other waits."""
        self.writer.start()
        self.writer.write(b"x" * 100)
        self.assertTrue(self.writer.flush(10))
        self.assertEqual(self.gate.written, [b"x" * 100])

    def test_reopen(self) -> None:
        """The output is opened again between the lines of before and after, once."""
        self.stall()
        self.writer.write(b"two")
        self.writer.reopen()
        self.writer.reopen()
        self.writer.write(b"three")
        self.gate.opened.set()
        self.writer.flush(10)
        self.assertEqual(self.gate.written, [b"first", b"two", b"(reopened)", b"three"])

    def test_errors(self) -> None:
        """An output that fails is told once, and the writer goes on."""
        self.gate.error = OSError(28, "No space left on device")
        self.writer.start()
        for _ in range(3):
            self.writer.write(b"lost")
        self.writer.flush(10)
        self.gate.error = None
        self.writer.write(b"kept")
        self.writer.flush(10)
        self.assertEqual(self.gate.written, [b"kept"])
        (line,) = self.told
        self.assertIn("No space left on device; the monitor continues without it", line)

    def test_end(self) -> None:
        """The output is closed behind the last line, even if the caller does not wait for it."""
        self.stall()
        self.writer.write(b"last")
        self.writer.end(0)
        thread = self.writer._thread
        assert thread is not None
        self.gate.opened.set()
        thread.join(10)
        self.assertEqual(self.gate.written, [b"first", b"last", b"(closed)"])
