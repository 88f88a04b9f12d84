"""The command ``recodex-monitor doctor``.

What the checks need is imported when they run.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from recodex_monitor.tools.terminal import on_terminal, printable

if TYPE_CHECKING:
    from recodex_monitor.doctor.context import Context
    from recodex_monitor.doctor.findings import Finding
    from recodex_monitor.doctor.ways import Way

IDLE = 30.0
"""Seconds of silence that are tried: longer than those between the monitor's signs of life."""

_NO_PUBLIC = "the way through the proxy was not tried"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recodex-monitor doctor`."""
    parser.description = (
        "Say what is wrong with an installation, and what to do. Each line is ok, warn or FAIL. A "
        "job of the doctor's own is sent to the monitor as the broker would, and followed as a "
        "page would; it is counted nowhere and leaves nothing behind. Run it as root on the "
        "monitor's machine, also while students use it."
    )
    parser.epilog = (
        "Exit codes: 0 nothing is wrong, 1 there is a FAIL, 2 wrong usage, or a package is missing."
    )
    add = parser.add_argument
    text = "the public address, as the API has it, such as wss://recodex.example.org/ws"
    add("--public", metavar="URL", help=text)
    text = "the origin of the web application's pages (default: that of the public address)"
    add("--origin", metavar="URL", default="", help=text)
    text = "look at the public address alone, from another machine than the monitor's"
    add("--remote", action="store_true", help=text)
    text = (
        "how long to try whether silent connections are kept (default: %(default)g; 0: not at all)"
    )
    add("--idle", type=_seconds, default=IDLE, metavar="SECONDS", help=text)
    add("--json", action="store_true", help="print the findings as JSON")
    text = "where to send the job (default: zeromq_uri, in a cluster the owner's)"
    add("--zmq", metavar="ENDPOINT", help=text)
    text = "the file with a broker's key pair, where only certain ones may connect"
    add("--curve", metavar="FILE", help=text)
    text = "a token for all jobs whose ids begin with doctor_, where followers need one"
    add("--follower-token", metavar="TOKEN", default="", help=text)
    text = "a broker's configuration file on this machine (default: %(default)s)"
    add("--broker-config", metavar="FILE", default="/etc/recodex/broker/config.yml", help=text)
    add("--url", help="the address of the status page (default: status_uri of the settings)")
    add("--token", help="the token for it (default: status_token of the settings)")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 3600")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Run `recodex-monitor doctor` and return its exit code."""
    try:
        import websockets.sync.client  # noqa: F401
    except ImportError:
        text = "needs the package websockets: pip install 'recodex-monitor[tools]'"
        print(f"recodex-monitor doctor: {text}", file=sys.stderr)
        return 2
    from recodex_monitor.doctor.findings import Level, worst

    try:
        context = make_context(arguments)
    except ValueError as error:
        print(f"recodex-monitor doctor: {error}", file=sys.stderr)
        return 2
    show = _collect if arguments.json else _print
    try:
        findings = show(examine(context))
    except KeyboardInterrupt:
        return 130
    if arguments.json:
        print(_as_json(findings))
    return 1 if worst(findings) is Level.FAIL else 0


def _collect(findings: "Iterable[Finding]") -> "list[Finding]":
    return list(findings)


def _print(findings: "Iterable[Finding]") -> "list[Finding]":
    from recodex_monitor.doctor.findings import Level, coloured, lines

    has_colours = on_terminal() and "NO_COLOR" not in os.environ
    found: list[Finding] = []
    for finding in findings:
        is_repeated = bool(finding.remedy) and finding.remedy in {one.remedy for one in found}
        found.append(finding)
        remedy = "as above" if is_repeated else printable(finding.remedy)
        clean = finding._replace(seen=printable(finding.seen), remedy=remedy)
        first, *others = lines(clean)
        first = coloured(first, finding.level) if has_colours else first
        print("\n".join([first, *others]), flush=True)
    counts = ", ".join(f"{sum(one.level is level for one in found)} {level}" for level in Level)
    failed = [one.check for one in found if one.level is Level.FAIL]
    advice = (
        f". Begin with the first, {failed[0]}: others may follow from it." if failed[1:] else ""
    )
    print(f"{counts}{advice}")
    return found


def _as_json(findings: "list[Finding]") -> str:
    from recodex_monitor.doctor.findings import worst

    checks = [{**one._asdict(), "level": str(one.level)} for one in findings]
    return json.dumps({"result": str(worst(findings)), "checks": checks}, indent=2)


def make_context(arguments: argparse.Namespace) -> "Context":
    """What the checks have to know.

    Raises:
        ValueError: the public address is none.
    """
    from recodex_monitor.doctor.context import Context
    from recodex_monitor.doctor.ways import direct_way, public_way
    from recodex_monitor.settings import parsing, schema

    file = arguments.config or parsing.installed_file()
    problems: tuple[str, ...] = ()
    try:
        settings = parsing.load(file)
    except schema.ConfigError as error:
        settings, problems = schema.Settings(), tuple(error.problems)
    token = arguments.follower_token or _made_token(settings)
    context = Context(
        direct_way(settings, token),
        settings,
        file,
        problems,
        zmq=arguments.zmq,
        curve=arguments.curve,
        idle=arguments.idle,
        broker_config=arguments.broker_config,
    )
    if arguments.public is not None:
        context.public = public_way(arguments.public, arguments.origin, token)
    if arguments.remote:
        if context.public is None:
            raise ValueError("--remote needs --public")
        context.direct = None
    else:
        _ask_status(context, arguments)
    return context


def _made_token(settings: "object") -> str:
    """A token for the doctor's jobs, where this machine has the secret to make one."""
    from recodex_monitor.doctor.tokens import make_token

    return make_token(settings)  # type: ignore[arg-type]


def _ask_status(context: "Context", arguments: argparse.Namespace) -> None:
    from recodex_monitor.doctor import state
    from recodex_monitor.tools import status_client

    try:
        context.status = state.find_target(arguments)
        context.told = status_client.ask(context.status, "/api/status")
    except status_client.CannotAsk as error:
        context.why_untold = str(error)


def examine(context: "Context") -> "Iterator[Finding]":
    """Run all checks, those first that are quick."""
    if context.direct is not None:
        yield from _look(context)
    yield from follow(context)


def _look(context: "Context") -> "Iterator[Finding]":
    """Look at this machine, and ask the monitor on it."""
    from recodex_monitor.doctor import installation, machine, ports, state, units

    service, running = units.show(units.SERVICE), ports.monitor(context)
    yield from installation.settings(context, installation.user_of(service, running))
    yield from units.service(service)
    yield from units.socket(units.show(units.SOCKET), context.settings.websocket_uri)
    yield from ports.check(context)
    for check in (state.status, state.broker, state.broker_config, state.clients, state.cluster):
        yield from check(context)
    if not context.problems:
        yield from machine.history(context)
        yield from machine.log(context)
    yield from machine.open_files(context, running)
    yield from machine.synchronized()


def follow(context: "Context") -> "Iterator[Finding]":
    """Try the way from the broker's port to a page, by the public address if there is one."""
    from recodex_monitor.doctor import probing, trial, verdicts
    from recodex_monitor.doctor.findings import fail, warn

    public, answer = context.public, None
    findings: list[Finding] = []
    if public is not None:
        public, findings = _reached(public)
        yield from findings
    if public is not None:
        answer = probing.ask(public)
        yield probing.prefix(public, answer)
        yield from probing.origin(public, answer)
        if probing.is_origin_refused(answer):
            public = None  # Every way would be refused, and the monitor would count a WebSocket.
    direct = context.direct
    own = probing.ask(direct) if direct is not None else ""
    yield from probing.clock([("the monitor", own), ("the public address", answer or "")])
    try:
        played = trial.play(context, public)
    except OSError as error:
        yield fail("job", f"no job was played: {error}")
        return
    if context.has_job:
        yield verdicts.job(played)
    if direct is not None:
        yield verdicts.direct(played, direct)
    if public is not None:
        yield from verdicts.public(played, public)
    if public is not None and direct is not None:
        yield from verdicts.client_address(played)
    elif context.public is None:
        yield warn("address", _NO_PUBLIC, "Give the public address: --public wss://HOST/ws.")


def _reached(way: "Way") -> "tuple[Way | None, list[Finding]]":
    """The way to be tried, which accepts a wrong certificate; None if nothing can be tried."""
    from recodex_monitor.doctor import probing
    from recodex_monitor.doctor.findings import Level, worst

    findings = list(probing.address(way))
    if any(one.level is Level.FAIL for one in findings):
        return None, findings
    trust = list(probing.certificate(way))
    findings += trust
    if worst(trust) is Level.FAIL:
        way = way.unverified()
        if not probing.has_tls(way):
            return None, findings
    return way, [*findings, *probing.http2(way)]
