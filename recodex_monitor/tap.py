"""How ``twistd recodex-monitor`` and ``monitor.tac`` make a monitor."""

import os

from twisted.python import usage

from recodex_monitor.monitor import CannotStart, Monitor, make_monitor
from recodex_monitor.settings import schema

FILE_VARIABLE = "RECODEX_MONITOR_CONFIG"
"""The environment variable that names the configuration file of ``monitor.tac``."""


class Options(usage.Options):
    """The options of ``twistd recodex-monitor``."""

    optParameters = [  # noqa: RUF012
        ["config", "c", None, "Configuration file; without one, the defaults."],
    ]


def makeService(options: Options) -> Monitor:
    """Make a monitor for twistd, or end the process with 1 and say why on standard error."""
    try:
        return make_monitor(options["config"])
    except CannotStart as error:
        raise SystemExit(f"recodex-monitor: cannot start: {error}") from None


def file_from_environment() -> str | None:
    """The configuration file where no option names it: from the environment, else as installed."""
    installed = schema.DEFAULT_FILE if os.path.exists(schema.DEFAULT_FILE) else None
    return os.environ.get(FILE_VARIABLE) or installed
