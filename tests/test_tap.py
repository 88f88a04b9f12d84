"""Tests of how twistd makes a monitor."""

import io
import os
import sys
from typing import Any, cast
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import tap
from recodex_monitor.monitor import CannotStart, Monitor
from recodex_monitor.settings import parsing


class OptionsTests(SynchronousTestCase):
    """The options of ``twistd recodex-monitor``."""

    def test_config(self) -> None:
        """The configuration file is an option, in a long and a short form."""
        for arguments, expected in (
            ([], None),
            (["-c", "file"], "file"),
            (["--config", "file"], "file"),
        ):
            options = tap.Options()
            options.parseOptions(arguments)
            self.assertEqual(options["config"], expected)


class ServiceTests(SynchronousTestCase):
    """Making the service, and its errors."""

    def setUp(self) -> None:
        """Catch the excepthook, and what is printed to standard error."""
        self.patch(sys, "excepthook", sys.__excepthook__)
        self.errors = io.StringIO()
        self.patch(sys, "__stderr__", self.errors)

    def make(self, make_monitor: Any) -> Monitor:
        """Make a service of a monitor that this function makes."""
        self.patch(tap, "make_monitor", make_monitor)
        options = tap.Options()
        options.parseOptions(["--config", "file"])
        return tap.makeService(options)

    def test_made(self) -> None:
        """The service is the monitor of this configuration file."""
        made = cast(Monitor, object())
        make_monitor = mock.Mock(return_value=made)
        self.assertIs(self.make(make_monitor), made)
        make_monitor.assert_called_once_with("file")

    def test_cannot_be_made(self) -> None:
        """If the settings are wrong the process ends with 1 and the reason, without a traceback."""
        with self.assertRaises(SystemExit) as caught:
            self.make(mock.Mock(side_effect=CannotStart("wrong configuration")))
        self.assertEqual(caught.exception.code, 1)
        self.assertEqual(
            self.errors.getvalue(), "recodex-monitor: cannot start: wrong configuration\n"
        )

    def test_cannot_start(self) -> None:
        """If the monitor cannot start later, the reason is printed without a traceback."""
        self.make(mock.Mock())
        sys.excepthook(CannotStart, CannotStart("the port is taken"), None)
        self.assertEqual(
            self.errors.getvalue(), "recodex-monitor: cannot start: the port is taken\n"
        )

    def test_files_of_twistd(self) -> None:
        """A file that twistd itself cannot use is named without a traceback."""
        self.make(mock.Mock())
        error = FileNotFoundError(2, "No such file or directory", "/missing/pid")
        sys.excepthook(FileNotFoundError, error, None)
        why = "cannot use /missing/pid: No such file or directory"
        self.assertEqual(self.errors.getvalue(), f"recodex-monitor: cannot start: {why}\n")

    def test_other_exceptions(self) -> None:
        """Any other exception is reported as usual."""
        self.make(mock.Mock())
        usual = mock.Mock()
        self.patch(sys, "__excepthook__", usual)
        error = ValueError("a bug")
        sys.excepthook(ValueError, error, None)
        usual.assert_called_once_with(ValueError, error, None)
        self.assertEqual(self.errors.getvalue(), "")


class FileTests(SynchronousTestCase):
    """The configuration file of monitor.tac."""

    def test_environment(self) -> None:
        """The environment variable comes before the installed file; an empty one is none."""
        self.patch(parsing, "installed_file", lambda: "installed")
        for value, expected in (("file", "file"), ("", "installed")):
            with mock.patch.dict(os.environ, {tap.FILE_VARIABLE: value}):
                self.assertEqual(tap.file_from_environment(), expected)
