"""The ``recodex-monitor`` command: runs a monitor, checks its settings, or runs one of the tools.

What only some of the commands need is imported when it is needed.
"""

import argparse
import codecs
import contextlib
import importlib
import os
import pwd
import sys

from recodex_monitor import __version__
from recodex_monitor.doctor import command as doctor
from recodex_monitor.settings import environment, export, parsing, places, schema, secrets
from recodex_monitor.system import signals
from recodex_monitor.tools import demo, simulate, status, terminal, watch

_TOOLS = {
    "simulate": (simulate, "send the messages of simulated jobs to a running monitor"),
    "watch": (watch, "follow a job in the terminal"),
    "status": (status, "show the state of a running monitor, or of one of its jobs"),
    "doctor": (doctor, "say what is wrong with an installation, and what to do about it"),
    "demo": (demo, "run a monitor with simulated jobs, and show what students would see"),
}

_INSTALLED = f"the configuration file (default: {schema.DEFAULT_FILE}, if it exists)"


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        argv: the arguments, without the command's name; None for those of the process.
    """
    signals.hold()
    try:
        terminal.escape_unencodable()
        arguments = make_parser().parse_args(argv)
        if arguments.run is not _run:
            signals.release()
        code: int = arguments.run(arguments)
        if arguments.run is not _run and sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of the output has closed it, as `head` does. Keep Python from flushing at exit.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 1
    finally:
        signals.release()


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; install/manuals.py makes man pages from it, too."""
    parser = argparse.ArgumentParser(
        prog="recodex-monitor",
        description="Show the progress of ReCodEx jobs in browsers. Without a command, run the "
        "monitor in the foreground until SIGTERM or SIGINT.",
        epilog="Exit codes without a command: 0 the monitor was stopped, 1 it cannot start, "
        "2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    text = "the configuration file (default: none, all settings have their defaults)"
    _add_config(parser, text, default=None)
    parser.set_defaults(run=_run)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    _add_check(commands, text)
    _add_backup(commands)
    for name, (tool, text) in _TOOLS.items():
        command = commands.add_parser(name, help=text)
        tool.add_arguments(command)
        if tool in (status, doctor):
            _add_config(command, _INSTALLED, default=argparse.SUPPRESS)
        command.set_defaults(run=tool.run)
    return parser


def _add_check(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", config: str
) -> None:
    text = "print the settings in force with their sources, or what keeps a monitor from using them"
    check = commands.add_parser(
        "check",
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog="It changes nothing. A port that is taken is a note only, since a monitor may run. "
        "Exit codes: 0 a monitor can use the settings, 1 it cannot, 2 wrong usage.",
    )
    _add_config(check, config, default=argparse.SUPPRESS)
    check.add_argument(
        "--user", metavar="NAME", help="check as this user, as which the monitor will run; for root"
    )
    check.add_argument("--connect", action="store_true", help="ask the engine of the cluster, too")
    check.set_defaults(run=_check)


def _add_backup(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "copy the history file, also while the monitor runs"
    backup = commands.add_parser(
        "backup",
        help=text,
        description=f"{text[0].upper()}{text[1:]}. The copy is complete, of one moment, and has "
        "been read once before it takes the place of an earlier one.",
        epilog="Exit codes: 0 there is a copy, 1 there is none and an earlier one stays, "
        "2 wrong usage.",
    )
    _add_config(backup, _INSTALLED, default=argparse.SUPPRESS)
    backup.add_argument("file", metavar="FILE", help="the file to make")
    backup.set_defaults(run=_backup)


def _add_config(parser: argparse.ArgumentParser, text: str, default: str | None) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", default=default, help=text)


def _check(arguments: argparse.Namespace) -> int:
    try:
        from recodex_monitor import checks

        if arguments.user is not None:
            _become(arguments.user)
        settings = parsing.load(arguments.config)
    except schema.ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except _WrongUser as error:
        print(f"recodex-monitor check: {error}", file=sys.stderr)
        return 2
    found = list(checks.find(settings, connects=arguments.connect))
    mistakes = [text for text, is_mistake in found if is_mistake]
    notes = [text for text, is_mistake in found if not is_mistake]
    notes += secrets.exposed(arguments.config, settings)
    notes += environment.unknown()
    for text in (*places.located(mistakes, arguments.config), *notes):
        print(text, file=sys.stderr)
    if mistakes:
        return 1
    found_at = places.Places.read(arguments.config)
    print(export.dump(settings, lambda key: found_at.of(key) or "default"), end="")
    return 0


def _backup(arguments: argparse.Namespace) -> int:
    from recodex_monitor.history import backup, database

    config = arguments.config or parsing.installed_file()
    try:
        source = parsing.load(config).history.file
        if source is None:
            where = f"in {config}" if config is not None else "since there is no configuration file"
            raise database.HistoryError(f"history.file is not set {where}")
        found = backup.copy(source, arguments.file)
    except (database.HistoryError, schema.ConfigError) as error:
        print(f"recodex-monitor backup: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.file}: {found.channels} channels, {found.size} bytes")
    return 0


class _WrongUser(Exception):
    """Why this process cannot run as another user."""


def _become(name: str) -> None:
    """Run as this user from now on, with its groups."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise _WrongUser(f"there is no user {name}") from None
    if user.pw_uid == os.geteuid():
        return
    if os.geteuid() != 0:
        raise _WrongUser("--user needs root")
    _import_all()
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _import_all() -> None:
    """Import what the checks may need, as far as it is installed: the user may not read it."""
    for encoding in ("utf-8-sig", "idna"):
        codecs.lookup(encoding)
    for module in ("broker.zap", "history.database", "network.tls", "relay.probing"):
        with contextlib.suppress(ImportError, schema.ConfigError):
            importlib.import_module(f"recodex_monitor.{module}")


def _run(arguments: argparse.Namespace) -> int:
    from twisted.internet import reactor
    from twisted.logger import globalLogBeginner

    from recodex_monitor.monitor import CannotStart, make_monitor
    from recodex_monitor.system.outputs import tell

    try:
        monitor = make_monitor(arguments.config)
        globalLogBeginner.beginLoggingTo([monitor.log], redirectStandardIO=False)
        monitor.startService()
    except CannotStart as error:
        # Standard error may be a pipe that nobody reads.
        tell(f"recodex-monitor: cannot start: {error}", sys.stderr)
        return 1
    reactor.addSystemEventTrigger("before", "shutdown", monitor.stopService)
    reactor.run()
    return 0
