"""How ``twistd recodex-monitor`` and ``monitor.tac`` make a monitor."""

import os
import sys
from typing import Any

from twisted.python import usage

from recodex_monitor.monitor import CannotStart, Monitor, make_monitor
from recodex_monitor.settings import parsing
from recodex_monitor.system import signals
from recodex_monitor.system.outputs import tell

FILE_VARIABLE = "RECODEX_MONITOR_CONFIG"
"""The environment variable that names the configuration file of ``monitor.tac``."""


class Options(usage.Options):
    """The options of ``twistd recodex-monitor``."""

    optParameters = [  # noqa: RUF012
        ["config", "c", None, "Configuration file; without one, the defaults."],
    ]


def makeService(options: Options) -> Monitor:
    """Make a monitor for twistd.

    If it cannot start, now or when twistd starts it, standard error says why in one line and the
    process ends with 1.
    """
    signals.hold()
    try:
        monitor = make_monitor(options["config"])
    except CannotStart as error:
        # Not by SystemExit: standard error may be a pipe that nobody reads.
        tell(_line(error))
        raise SystemExit(1) from None
    # twistd lets the exception of a failing start through to the interpreter.
    sys.excepthook = _report
    return monitor


def file_from_environment() -> str | None:
    """The configuration file of ``monitor.tac``: from the environment, else as installed."""
    return os.environ.get(FILE_VARIABLE) or parsing.installed_file()


def _report(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    """Print why the start failed without a traceback, if the cause is known; an excepthook.

    twistd itself opens files before it starts the monitor, such as its pidfile.
    """
    if isinstance(error, CannotStart):
        tell(_line(error))
    elif isinstance(error, OSError) and error.filename is not None:
        tell(_line(f"cannot use {os.fsdecode(error.filename)}: {error.strerror}"))
    else:
        sys.__excepthook__(kind, error, traceback)


def _line(error: object) -> str:
    return f"recodex-monitor: cannot start: {error}"
