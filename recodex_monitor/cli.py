"""The ``recodex-monitor`` command: runs a monitor, checks its settings, and tries it out."""

import argparse
import sys

from twisted.logger import globalLogBeginner

from recodex_monitor import __version__, config, demo, simulate, watch

_TOOLS = {
    "simulate": (simulate, "play the broker against a running monitor"),
    "watch": (watch, "follow a job in the terminal"),
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
        print(config.dump(config.load(arguments.config)), end="")
    except config.ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> int:
    # These have the reactor, which the other commands do not need.
    from twisted.internet import reactor

    from recodex_monitor.tap import CannotStart, make_monitor

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
