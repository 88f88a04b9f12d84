"""The lines and files of the log."""

import os
import shutil
import threading
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from recodex_monitor.settings import schema
from recodex_monitor.settings.readers import LEVELS
from recodex_monitor.system import log as log_module
from recodex_monitor.system.log import Log
from recodex_monitor.system.opening import Opener
from recodex_monitor.system.outputs import Output, open_output
from recodex_monitor.system.writer import STALLED
from tests.system.log import LINE, LogTestCase


class LineTests(LogTestCase):
    """What is written."""

    def test_format(self) -> None:
        """A line is time, name, level and text, as the original monitor's."""
        self.open()
        self.logger.info("job {id!r} ends: é", id="a{b}")
        self.assertRegex(
            self.path.read_text("utf-8"), rf"\A{LINE}\[INFO\] job 'a{{b}}' ends: é\n\Z"
        )

    def test_levels(self) -> None:
        """Events are written from the configured level on, by the names of Python's levels."""
        names = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        for count, level in enumerate(LEVELS):
            self.path = self.folder / level
            self.open(level)
            for method in ("debug", "info", "warn", "error", "critical"):
                getattr(self.logger, method)("text")
            self.assertEqual(self.lines(level), [f"[{name}] text" for name in names[count:]])

    def test_no_forged_line(self) -> None:
        """Control characters in a text are escaped: an event is one line, and one alone."""
        self.open()
        self.logger.info("{id}", id="a\n[now] [recodex-monitor] [ERROR] b\r\0\x1f\x7f\x9fc")
        self.assertEqual(
            self.lines(),
            [r"[INFO] a\x0a[now] [recodex-monitor] [ERROR] b\x0d\x00\x1f\x7f\x9fc"],
        )

    def test_libraries(self) -> None:
        """What libraries say of their own parts is debug; their warnings stay warnings."""
        self.open("debug")
        for name in ("twisted.internet.base", "log_legacy", "recodex_monitors"):
            logger = Logger(name, observer=self.logger.observer)
            logger.info("starting")
            logger.warn("something is odd")
        expected = ["[DEBUG] starting", "[WARNING] something is odd"] * 3
        self.assertEqual(self.lines(), expected)

    def test_not_text(self) -> None:
        """A file name with bytes that are not UTF-8 is escaped, and costs no line."""
        self.open()
        self.logger.info("{file}", file="a\udcff")
        self.assertEqual(self.lines(), [r"[INFO] a\udcff"])

    def test_failure(self) -> None:
        """The traceback of a failure follows its line, indented."""
        self.open()
        try:
            raise RuntimeError("one\ntwo")
        except RuntimeError:
            self.logger.failure("it broke")
        first, *others = self.lines()
        self.assertEqual(first, "[CRITICAL] it broke")
        self.assertEqual([line for line in others if not line.startswith("    ")], [])
        self.assertEqual(others[-2:], ["    builtins.RuntimeError: one", "    two"])


class FileTests(LogTestCase):
    """Where it is written."""

    def test_rotation(self) -> None:
        """A file that would get too large is rotated, and as many are kept as configured."""
        self.open(max_size=200, rotations=2)
        for number in range(20):
            self.logger.info("event {number}", number=number)
        files = sorted(os.listdir(self.folder))
        self.assertEqual(files, ["monitor.log", "monitor.log.1", "monitor.log.2"])
        newest = [line for file in reversed(files) for line in self.lines(file)]
        self.assertEqual(newest, [f"[INFO] event {20 - n}" for n in range(len(newest), 0, -1)])
        self.assertTrue(all((self.folder / file).stat().st_size <= 200 for file in files))

    def test_no_rotation(self) -> None:
        """Without files to rotate to, or without a size, the one file grows."""
        for max_size, rotations in ((100, 0), (0, 3)):
            self.path = self.folder / f"{rotations}.log"
            self.open(max_size=max_size, rotations=rotations)
            for _ in range(20):
                self.logger.info("event")
            self.assertEqual(len(self.lines(f"{rotations}.log")), 20)
        self.assertEqual(sorted(os.listdir(self.folder)), ["0.log", "3.log"])

    def test_appends(self) -> None:
        """A log is appended to what an earlier process wrote."""
        for text in ("first", "second"):
            self.open()
            self.logger.info(text)
        self.assertEqual(self.lines(), ["[INFO] first", "[INFO] second"])

    def test_reopen(self) -> None:
        """After the file was moved away, reopening makes a new one."""
        log = self.open()
        self.logger.info("before")
        self.path.rename(self.folder / "moved")
        self.logger.info("between")
        log.reopen()
        self.logger.info("after")
        self.assertEqual(self.lines("moved"), ["[INFO] before", "[INFO] between"])
        self.assertEqual(self.lines(), ["[INFO] after"])

    def test_configured_file_cannot_be_written(self) -> None:
        """A configured file that cannot be written is an OSError that names it."""
        self.path = self.folder / "missing" / "monitor.log"
        error = self.assertRaises(OSError, self.open)
        self.assertEqual(Path(str(error.filename)), self.path.absolute())

    def test_write_error(self) -> None:
        """A write error is reported once on standard error, and again after reopening."""
        log = self.open()
        shutil.rmtree(self.folder)
        for _ in range(2):
            log.reopen()
            for _ in range(3):
                self.logger.info("text")
        told = self.stderr.getvalue().splitlines()
        self.assertEqual(len(told), 2)
        for line in told:
            self.assertRegex(line, "^recodex-monitor: cannot write the log: .*monitor.log")

    def test_recovers(self) -> None:
        """Once the file can be written again, the log continues by itself."""
        log = self.open()
        shutil.rmtree(self.folder)
        log.reopen()
        self.logger.info("lost")
        self.folder.mkdir()
        self.logger.info("kept")
        self.assertEqual(self.lines(), ["[INFO] kept"])


class StderrTests(LogTestCase):
    """The log on standard error."""

    def test_as_configured(self) -> None:
        """The file ``-`` is standard error, which reopening leaves alone."""
        log = Log(schema.Logger("-", "warning"))
        logger = Logger("recodex_monitor.test", observer=log)
        logger.info("not this")
        log.reopen()
        logger.warn("this")
        self.assertRegex(self.stderr.getvalue(), rf"\A{LINE}\[WARNING\] this\n\Z")

    def test_default_is_a_file(self) -> None:
        """If no file is configured, the default one is written."""
        self.patch(schema, "DEFAULT_LOG", str(self.path))
        Logger("recodex_monitor.test", observer=Log(schema.Logger())).info("text")
        self.assertEqual(self.lines(), ["[INFO] text"])
        self.assertEqual(self.stderr.getvalue(), "")

    def test_default_cannot_be_written(self) -> None:
        """If the default one cannot be written, the log is standard error, which says so."""
        default = str(self.folder / "missing" / "monitor.log")
        self.patch(schema, "DEFAULT_LOG", default)
        Logger("recodex_monitor.test", observer=Log(schema.Logger())).info("text")
        told, line = self.stderr.getvalue().splitlines()
        self.assertEqual(
            told,
            f"recodex-monitor: cannot write {default} (No such file or directory), "
            "logging to standard error",
        )
        self.assertRegex(line, rf"^{LINE}\[INFO\] text$")


class StartedTests(LogTestCase):
    """A log whose thread writes."""

    def test_stop(self) -> None:
        """At a stop everything is written, and so is what comes after it."""
        log = self.open()
        log.start()
        for number in range(1000):
            self.logger.info("{number}", number=number)
        log.stop()
        self.logger.info("after")
        expected = [*(f"[INFO] {number}" for number in range(1000)), "[INFO] after"]
        self.assertEqual(self.lines(), expected)

    def test_stalled(self) -> None:
        """Events of a stalled log cost no time; a later line tells how many were dropped."""
        reading, writing = os.pipe()
        self.path = Path(f"/dev/fd/{writing}")
        self.patch(log_module, "STOP", 0.0)
        for form in ("text", "json"):
            log = self.open(format=form, buffer=4096)
            log.start()
            self.addCleanup(log.adopt, schema.Logger("-"))
            # More than a pipe holds: nobody reads it yet.
            self.logger.info("{text}", text="x" * 100_000)
            for _ in range(100):
                self.logger.info("{text}", text="x" * 100)
            log.stop()
            told = f"dropped {log.dropped[STALLED]} lines of the log: nothing took them for "
            read = b""
            while told.encode() not in read:
                read += os.read(reading, 100_000)
            self.assertGreater(log.dropped[STALLED], 50)
            self.assertIn(told, read.decode().splitlines()[-1])
        os.close(reading)
        os.close(writing)

    def test_other_file(self) -> None:
        """Another file gets a writer of its own, since the former one may be stalled."""
        log = self.open()
        log.start()
        self.logger.info("first")
        log.adopt(schema.Logger(str(self.folder / "other.log"), max_size=0, rotations=0))
        self.logger.info("second")
        log.stop()
        self.assertEqual(
            (self.lines(), self.lines("other.log")), (["[INFO] first"], ["[INFO] second"])
        )

    def test_hanging_disk(self) -> None:
        """Another file whose disk hangs is an error soon, and the log goes on as it was."""
        answers = threading.Event()
        self.addCleanup(answers.set)
        self.patch(log_module, "Opener", lambda: Opener(0))
        log = self.open()
        log.start()
        self.addCleanup(log.stop)
        opened = open_output

        def late(*args: Any) -> Output:
            answers.wait(30)
            return opened(*args)

        self.patch(log_module, "open_output", late)
        other = schema.Logger(str(self.folder / "other.log"), "debug")
        error = self.assertRaises(OSError, log.adopt, other)
        self.assertEqual(error.filename, other.file)
        self.logger.info("this")
        self.logger.debug("not this")
        log.stop()
        self.assertEqual(self.lines(), ["[INFO] this"])
