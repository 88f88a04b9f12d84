"""What the log is written to: regular files, and everything else that a path can name."""

import os
import socket
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.system.outputs import (
    Descriptor,
    Stream,
    objection,
    open_output,
    write_within,
)


class OutputTestCase(SynchronousTestCase):
    """Has a new folder."""

    def setUp(self) -> None:
        """Make it."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def write(self, path: str | Path, lines: int = 5, max_size: int = 10) -> None:
        """Write lines of five bytes to a path, which would rotate at ten."""
        output = open_output(str(path), max_size, 2)
        self.addCleanup(output.close)
        for number in range(lines):
            output.write(b"%04d\n" % number)

    def why(self, path: str | Path) -> str:
        """Why a path cannot be opened; the error names it."""
        error: OSError = self.assertRaises(OSError, open_output, str(path), 10, 2)
        self.assertEqual(str(error.filename), str(path))
        return str(error.strerror)


class FileTests(OutputTestCase):
    """A regular file."""

    def test_rotates(self) -> None:
        """It is rotated before it gets too large."""
        self.write(self.folder / "log")
        content = {one.name: one.read_bytes() for one in self.folder.iterdir()}
        expected = {"log": b"0004\n", "log.1": b"0002\n0003\n", "log.2": b"0000\n0001\n"}
        self.assertEqual(content, expected)

    def test_link(self) -> None:
        """A link to a file stays one: the file that it names is rotated."""
        (self.folder / "link").symlink_to(self.folder / "log")
        self.write(self.folder / "link", lines=3)
        self.assertEqual(sorted(os.listdir(self.folder)), ["link", "log", "log.1"])
        self.assertTrue((self.folder / "link").is_symlink())

    def test_cannot_rotate(self) -> None:
        """If it cannot be rotated that is an error, but no line is lost."""
        (self.folder / "log.1").mkdir()
        (self.folder / "log.2").touch()
        output = open_output(str(self.folder / "log"), 10, 1)
        self.addCleanup(output.close)
        output.write(b"0000\n" * 2)
        self.assertRaises(OSError, output.write, b"0001\n")
        self.assertEqual((self.folder / "log").read_bytes(), b"0000\n0000\n0001\n")


class SpecialTests(OutputTestCase):
    """What is no regular file is neither rotated nor renamed nor created."""

    def setUp(self) -> None:
        """Make a pipe as well."""
        super().setUp()
        self.reading, writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        self.addCleanup(os.close, writing)
        self.writing = writing

    def test_pipe(self) -> None:
        """A pipe is written to, whatever its size."""
        self.write(f"/dev/fd/{self.writing}", lines=2)
        self.assertEqual(os.read(self.reading, 100), b"0000\n0001\n")

    def test_descriptor_of_a_file(self) -> None:
        """A regular file that is reached by a link in /dev is not rotated."""
        with (self.folder / "output").open("ab") as file:
            self.write(f"/dev/fd/{file.fileno()}")
        self.assertEqual(os.listdir(self.folder), ["output"])
        self.assertEqual((self.folder / "output").stat().st_size, 25)

    def test_closed_descriptor(self) -> None:
        """A descriptor that is not open, or cannot be written, is an error."""
        self.assertEqual(self.why("/dev/fd/9999"), "Bad file descriptor")
        self.assertEqual(self.why(f"/dev/fd/{self.reading}"), "Bad file descriptor")

    def test_fifo(self) -> None:
        """A FIFO needs no reader, takes lines, and stays what it is."""
        path = self.folder / "fifo"
        os.mkfifo(path)
        self.write(path)
        self.assertEqual(os.listdir(self.folder), ["fifo"])
        self.assertTrue(stat.S_ISFIFO(path.stat().st_mode))
        output = open_output(str(path), 10, 2)
        self.addCleanup(output.close)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reading)
        output.write(b"read\n")
        self.assertTrue(os.read(reading, 100).endswith(b"read\n"))

    def test_null(self) -> None:
        """/dev/null takes everything and stays there, also behind a link."""
        link = self.folder / "log"
        link.symlink_to("/dev/null")
        for path in ("/dev/null", link):
            self.write(path)
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))
        self.assertEqual(os.listdir(self.folder), ["log"])

    def test_unusable(self) -> None:
        """A socket and a folder are errors that say what is there; nothing is made in /dev."""
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(os.path.relpath(self.folder / "socket"))
            self.assertEqual(self.why(self.folder / "socket"), "is a socket, name a file")
        self.assertEqual(self.why(self.folder), "Is a directory")
        self.assertEqual(self.why("/dev/no-such-device"), "No such file or directory")
        self.assertFalse(os.path.exists("/dev/no-such-device"))


class DirectTests(OutputTestCase):
    """Writing without the thread."""

    def test_full_pipe(self) -> None:
        """A pipe that takes nothing is given up."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        output = Descriptor(writing)
        self.assertTrue(write_within(output, b"x" * 65536, 0))
        self.assertFalse(write_within(output, b"x", 0))
        self.assertEqual(len(os.read(reading, 100_000)), 65536)
        self.assertTrue(write_within(output, b"y", 0))

    def test_no_stderr(self) -> None:
        """A process without standard error writes nowhere."""
        self.assertTrue(write_within(Stream(None), b"x", 0))


class ObjectionTests(OutputTestCase):
    """Whether a path could be opened."""

    def test_same(self) -> None:
        """What cannot be opened is told with the same reason, and nothing is made."""
        self.assertIsNone(objection("-"))
        self.assertIsNone(objection("/dev/stdout"))
        self.assertIsNone(objection(str(self.folder / "log")))
        (self.folder / "old").write_bytes(b"x")
        self.assertIsNone(objection(str(self.folder / "old")))
        for path in (
            str(self.folder),
            str(self.folder / "missing" / "log"),
            str(self.folder / "old" / "log"),
            "/dev/no-such-device",
        ):
            self.assertEqual(objection(path), self.why(path))
        os.mkfifo(self.folder / "fifo")
        self.assertIsNone(objection(str(self.folder / "fifo")))
        self.assertEqual(sorted(os.listdir(self.folder)), ["fifo", "old"])
