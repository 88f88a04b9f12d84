"""The ``recodex-monitor`` command: runs a monitor, checks its settings, and tries it out."""

import argparse
import sys
import time

from twisted.logger import globalLogBeginner

from recodex_monitor import __version__
from recodex_monitor.broker import zap
from recodex_monitor.history import database
from recodex_monitor.settings import export, parsing, schema
from recodex_monitor.tools import demo, simulate, status, watch

_TOOLS = {
    "simulate": (simulate, "play the broker against a running monitor"),
    "watch": (watch, "follow a job in the terminal"),
    "status": (status, "show how a running monitor is, or one of its jobs"),
    "demo": (demo, "run a monitor, simulated jobs and what a student would see of them"),
}


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks for; returns the exit code.

    Args:
        argv: the arguments, without the command's name; None for those of the process.
    """
    arguments = _parser().parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="recodex-monitor",
        description="Shows the progress of ReCodEx jobs to browsers. Without a command it runs "
        "the monitor in the foreground until SIGTERM or SIGINT (exit code 0), or says why it "
        "cannot start (1).",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _add_config(parser, default=None)
    parser.set_defaults(run=_run)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    text = "print the effective settings as YAML, or every mistake in them"
    check = commands.add_parser("check", help=text, description=text)
    _add_config(check, default=argparse.SUPPRESS)
    check.set_defaults(run=_check)
    for name, (tool, text) in _TOOLS.items():
        command = commands.add_parser(name, help=text)
        tool.add_arguments(command)
        if tool is status:
            _add_config(command, default=argparse.SUPPRESS)
        command.set_defaults(run=tool.run)
    return parser


def _add_config(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        default=default,
        help="configuration file; without one, the defaults",
    )


def _check(arguments: argparse.Namespace) -> int:
    try:
        settings = parsing.load(arguments.config)
        _check_tls(settings.websocket_tls)
        zap.make_guard(settings.zeromq, time.monotonic)
        if settings.history.file is not None:
            _check_history(settings.history.file)
    except schema.ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except database.HistoryError as error:
        print(f"history.file: {error}", file=sys.stderr)
        return 1
    print(export.dump(settings), end="")
    return 0


def _check_tls(settings: schema.Tls) -> None:
    if settings != schema.Tls():
        from recodex_monitor.network import tls

        tls.make_context(settings)


def _check_history(file: str) -> None:
    try:
        database.check(file)
    except database.InUse as note:
        print(f"history.file: {note}, and was not looked at", file=sys.stderr)


def _run(arguments: argparse.Namespace) -> int:
    # These have the reactor, which the other commands do not need.
    from twisted.internet import reactor

    from recodex_monitor.monitor import CannotStart, make_monitor

    try:
        monitor = make_monitor(arguments.config)
        globalLogBeginner.beginLoggingTo([monitor.log], redirectStandardIO=False)
        monitor.startService()
    except CannotStart as error:
        print(f"recodex-monitor: cannot start: {error}", file=sys.stderr)
        return 1
    reactor.addSystemEventTrigger("before", "shutdown", monitor.stopService)
    reactor.run()
    return 0
