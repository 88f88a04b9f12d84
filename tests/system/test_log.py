"""The log's lines and files."""

import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import schema
from recodex_monitor.settings.readers import LEVELS
from recodex_monitor.system.log import Log

LINE = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] \[recodex-monitor\] "


class LogTestCase(SynchronousTestCase):
    """A log in a new folder, and a standard error to look at."""

    def setUp(self) -> None:
        """Make both."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "monitor.log"
        self.stderr = io.StringIO()
        self.patch(sys, "__stderr__", self.stderr)

    def open(self, level: str = "info", max_size: int = 0, rotations: int = 0, **more: Any) -> Log:
        """Open the log, and let ``logger`` write to it."""
        log = Log(schema.Logger(str(self.path), level, max_size, rotations, **more))
        self.logger = Logger("test", observer=log)
        return log

    def lines(self, file: str = "monitor.log") -> list[str]:
        """The lines of one of the log's files, without their time."""
        text = (self.folder / file).read_text("utf-8")
        return [re.sub(f"^{LINE}", "", line) for line in text.splitlines()]


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
        """A log goes on where an earlier process left it."""
        for text in ("first", "second"):
            self.open()
            self.logger.info(text)
        self.assertEqual(self.lines(), ["[INFO] first", "[INFO] second"])

    def test_reopen(self) -> None:
        """After the file was moved away, reopening goes on in a new one."""
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
        """What cannot be written is told once on standard error, and anew after reopening."""
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
        """When the file can be written again, the log goes on by itself."""
        log = self.open()
        shutil.rmtree(self.folder)
        log.reopen()
        self.logger.info("lost")
        self.folder.mkdir()
        self.logger.info("kept")
        self.assertEqual(self.lines(), ["[INFO] kept"])


class JsonTests(LogTestCase):
    """The log as JSON."""

    def events(self) -> list[dict[str, Any]]:
        """What was written."""
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]

    def test_fields(self) -> None:
        """A line is an object: time, level, room, message, and the values in the message."""
        event = {
            "log_time": 0.5,
            "log_level": LogLevel.warn,
            "log_namespace": "test",
            "log_format": "{peer} follows {channel!r}",
            "peer": "192.0.2.1",
            "channel": "a\nb",
            "other": 1,
        }
        self.open(format="json")(event)
        (written,) = self.events()
        self.assertEqual(
            written,
            {
                "time": "1970-01-01T00:00:00.500+00:00",
                "level": "warning",
                "room": "test",
                "message": "192.0.2.1 follows 'a\\nb'",
                "peer": "192.0.2.1",
                "channel": "a\nb",
            },
        )

    def test_values(self) -> None:
        """Numbers stay numbers, what JSON does not know is text, and our own names are ours."""
        self.open(format="json")
        self.logger.info("{count} {what} {time}", count=3, what=b"x", time="forged")
        (event,) = self.events()
        self.assertEqual((event["count"], event["what"]), (3, "b'x'"))
        self.assertNotEqual(event["time"], "forged")

    def test_failure(self) -> None:
        """A traceback is a list of lines in the same object."""
        self.open(format="json")
        try:
            raise ValueError("wrong\n[line]")
        except ValueError:
            self.logger.failure("it failed")
        (event,) = self.events()
        self.assertEqual(event["level"], "critical")
        self.assertIn("builtins.ValueError: wrong", event["traceback"])


class OtherSettingsTests(LogTestCase):
    """A log that goes on by other settings."""

    def test_adopt(self) -> None:
        """Level, format and file are those of the new settings."""
        log = self.open()
        self.logger.debug("not this")
        log.adopt(schema.Logger(str(self.folder / "other.log"), "debug"))
        self.assertTrue(log.has_debug)
        self.logger.debug("this")
        self.assertEqual(self.lines(), [])
        self.assertEqual(self.lines("other.log"), ["[DEBUG] this"])

    def test_unwritable(self) -> None:
        """Where the new file cannot be written, the log goes on as it was."""
        log = self.open()
        missing = schema.Logger(str(self.folder / "missing" / "monitor.log"), "debug")
        self.assertRaises(OSError, log.adopt, missing)
        self.logger.info("this")
        self.logger.debug("not this")
        self.assertEqual(self.lines(), ["[INFO] this"])


class StderrTests(LogTestCase):
    """The log on standard error."""

    def test_as_configured(self) -> None:
        """The file ``-`` is standard error, which reopening leaves alone."""
        log = Log(schema.Logger("-", "warning"))
        logger = Logger("test", observer=log)
        logger.info("not this")
        log.reopen()
        logger.warn("this")
        self.assertRegex(self.stderr.getvalue(), rf"\A{LINE}\[WARNING\] this\n\Z")

    def test_default_is_a_file(self) -> None:
        """Where no file was configured, the default one is written."""
        self.patch(schema, "DEFAULT_LOG", str(self.path))
        Logger("test", observer=Log(schema.Logger())).info("text")
        self.assertEqual(self.lines(), ["[INFO] text"])
        self.assertEqual(self.stderr.getvalue(), "")

    def test_default_cannot_be_written(self) -> None:
        """Where the default one cannot be written, standard error gets the log, and is told so."""
        default = str(self.folder / "missing" / "monitor.log")
        self.patch(schema, "DEFAULT_LOG", default)
        Logger("test", observer=Log(schema.Logger())).info("text")
        told, line = self.stderr.getvalue().splitlines()
        self.assertEqual(
            told,
            f"recodex-monitor: cannot write {default} (No such file or directory), "
            "logging to standard error",
        )
        self.assertRegex(line, rf"^{LINE}\[INFO\] text$")
