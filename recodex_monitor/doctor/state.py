"""What the monitor tells of itself: its broker, its settings, whom it refuses, its cluster."""

import argparse
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import yaml

from recodex_monitor import __version__
from recodex_monitor.doctor.context import Context
from recodex_monitor.doctor.findings import Finding, fail, ok, warn
from recodex_monitor.settings import export, parsing
from recodex_monitor.settings.endpoints import Address, parsed_ip
from recodex_monitor.settings.schema import ConfigError, Settings
from recodex_monitor.status.diagnosis import span
from recodex_monitor.tools import status_client
from recodex_monitor.tools.status_client import CannotAsk, Target

_BROKER = ("never-connected", "disconnected", "never-sent", "broker-refused")
_CLUSTER = ("engine-away", "no-owner", "broker-elsewhere", "node-behind")
_CLIENTS = ("proxy", "refused", "cut-off", "slow", "slow-followers")
_FILES = ("history",)
_SURE = ("never-connected", "disconnected", "engine-away", "no-owner", "history", "not-ready")
_CONNECT = "Set the address and port of zeromq_uri as the monitor's in the broker's configuration."
_RECENT = 3600.0


def find_target(arguments: argparse.Namespace) -> Target:
    """The status page that the arguments and the settings mean; see ``status_client``."""
    return status_client.find_target(arguments)


def ask(context: Context, path: str, place: str | None = None) -> dict[str, Any] | None:
    """The answer of a status page; None if there is none.

    Args:
        context: knows the status page of this monitor.
        path: that is asked for.
        place: ``HOST:PORT`` of another node's status page; None for this one's.
    """
    target: Target | None = context.status
    if target is None:
        return None
    if place is not None:
        host, _, port = place.rpartition(":")
        connection = HTTPConnection(host.strip("[]"), int(port), timeout=5)
        target = target._replace(connection=connection, url=f"http://{place}")
    try:
        return status_client.ask(target, path)
    except CannotAsk:
        return None


def settings_of(told: Mapping[str, Any] | None) -> Settings | None:
    """The settings that a monitor tells, as far as they are no secrets; None if it tells none."""
    if told is None:
        return None
    known = {key: value for key, value in told["settings"].items() if key != "version"}
    cluster = known.get("cluster", {})
    known["cluster"] = {key: value for key, value in cluster.items() if key != "engine"}
    try:
        return parsing.parse(yaml.safe_dump(known).encode(), None)
    except ConfigError:
        return None


def status(context: Context) -> Iterator[Finding]:
    """Whether the monitor answers at all, and runs with the settings of the file."""
    if context.told is None:
        is_unset = context.settings.status_uri is None and context.status is None
        remedy = "Does the monitor run, and with these settings? Its log says why not."
        if context.problems:
            remedy = "Correct the settings first: those of the file are not known."
        elif is_unset:
            remedy = 'Set status_uri: ["127.0.0.1", 4568], and restart the monitor.'
        yield (warn if is_unset else fail)("status", context.why_untold, remedy)
        return
    told = context.told
    running = told["settings"].get("version", "")
    yield ok("status", f"version {running} is up for {span(told['uptime'])}")
    known = (*_BROKER, *_CLUSTER, *_CLIENTS, *_FILES)
    others = [one for one in told.get("hints", ()) if one["cause"] not in known]
    yield from (_hinted("status", one) for one in others)
    if running != __version__:
        text = f"version {running} runs, and {__version__} is installed"
        yield warn("in-force", text, "Restart the monitor.")
    elif context.status.source != "--url" and not context.problems:
        yield _in_force(told["settings"], export.shown(context.settings))


def _in_force(running: Mapping[str, Any], file: Mapping[str, Any]) -> Finding:
    before, now = (_flat(one) for one in (running, file))
    before.pop("version", None)
    differing = [key for key in sorted(before | now) if before.get(key) != now.get(key)]
    if not differing:
        return ok("in-force", "the monitor runs with the settings of the file")
    text = f"the monitor runs with another value of {', '.join(differing[:5])} than the file has"
    return warn("in-force", text, "`systemctl reload recodex-monitor`, or restart it.")


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = value if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name}.{key}": inner[key] for key in inner}
    return flat


def broker(context: Context) -> Iterator[Finding]:
    """Whether the broker is connected, since when, and when it sent something."""
    if context.told is None:
        yield warn("broker", "whether a broker is connected is not known without the status page")
        return
    told, owner = context.told["broker"], context.owner
    found = [_hinted("broker", one) for one in _hints(context, _BROKER)]
    if owner is not None:
        text = f"{owner['name']} owns, and a broker is {'' if owner.get('broker') else 'not '}"
        yield (ok if owner.get("broker") else fail)("broker", f"{text}connected to it")
    elif told["connected"]:
        since = span(context.told["now"] - told["since"])
        last = told["last"] and span(context.told["now"] - told["last"])
        said = f"its last message came {last} ago" if last else "it has sent nothing yet"
        yield ok("broker", f"is connected at {told['address']} for {since}; {said}")
    elif not found:
        text = f"no broker is connected at {told['address']}"
        yield fail("broker", text, _CONNECT)
    yield from found


def history(context: Context) -> list[Finding]:
    """What the monitor tells of its history file, if that is something."""
    return [_hinted("history", one) for one in _hints(context, _FILES)]


def _hints(context: Context, causes: tuple[str, ...]) -> list[Mapping[str, Any]]:
    told = context.told or {}
    return [one for one in told.get("hints", ()) if one["cause"] in causes]


def _hinted(check: str, hint: Mapping[str, Any]) -> Finding:
    level = fail if hint["cause"] in _SURE else warn
    return level(check, f"{hint['cause']}: {hint['text']}", hint.get("remedy", ""))


def broker_config(context: Context) -> Iterator[Finding]:
    """Whether a broker on this machine is configured to send to this monitor."""
    file, where = context.broker_config, context.settings.zeromq_uri
    try:
        content = yaml.safe_load(Path(file).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        if not isinstance(error, FileNotFoundError):
            yield warn("broker-config", f"{file} cannot be read: {error}")
        return
    found = (content if isinstance(content, dict) else {}).get("monitor") or {}
    host, port = str(found.get("address", "127.0.0.1")), found.get("port", 7894)
    if not isinstance(where, Address):
        return
    if port == where.port and _reaches(host, where.host):
        yield ok("broker-config", f"{file} has {host}:{port}, where the monitor listens")
        return
    text = f"{file} has {host}:{port} as the monitor's, but the monitor listens at {where}"
    remedy = (
        f'Write `monitor: {{address: "{_named(where)}", port: {where.port}}}` there, and restart'
    )
    yield fail("broker-config", text, f"{remedy} the broker.")


def _reaches(host: str, listening: str) -> bool:
    """Whether a broker on this machine reaches a listener by this address."""
    ip = parsed_ip(host)
    if listening in ("*", "0.0.0.0", "::") or host == listening:
        return True
    own = parsed_ip(listening)
    here = host == "localhost" or (ip is not None and ip.is_loopback)
    return here and (listening == "localhost" or (own is not None and own.is_loopback))


def _named(where: Address) -> str:
    return "127.0.0.1" if where.host in ("*", "0.0.0.0", "::") else where.host


def clients(context: Context) -> Iterator[Finding]:
    """Whom the monitor has refused lately."""
    if context.told is None:
        return
    told = context.told
    refused = [one for one in told.get("refused_origins", ()) if _is_recent(one["last"], told)]
    for one in refused:
        text = f"{one['count']} connections of pages of {one['origin']} were refused, the last "
        text += f"{span(told['now'] - one['last'])} ago"
        remedy = "If it is the web application: list it in limits.allowed_origins, and reload."
        yield warn("clients", text, remedy)
    hints = _hints(context, _CLIENTS)
    yield from (_hinted("clients", one) for one in hints)
    if not refused and not hints:
        followers = f"{told['followers']} followers, {told['slow']} of them slow"
        yield ok("clients", f"{followers}; nobody was refused lately")


def _is_recent(at: float | None, told: Mapping[str, Any]) -> bool:
    return at is not None and told["now"] - at < _RECENT


def cluster(context: Context) -> Iterator[Finding]:
    """Whether the nodes of a cluster see each other, and one of them owns."""
    told = context.cluster
    if told is None:
        return
    found = [_hinted("cluster", one) for one in _hints(context, _CLUSTER)]
    engine, nodes = told["engine"], told["nodes"]
    if engine["up"]:
        text = f"the engine at {engine['address']} is up; {told['owner'] or 'nobody'} owns"
        yield ok("cluster", f"{text}; {len(nodes)} nodes: {', '.join(_node(one) for one in nodes)}")
    versions = {one["version"] for one in nodes}
    if len(versions) > 1:
        yield warn("cluster", f"the nodes have different versions: {', '.join(sorted(versions))}")
    for one in nodes:
        is_other = one["status"] and one["name"] != told["node"]
        if is_other and ask(context, "/api/status", one["status"]) is None:
            text = f"{one['name']} does not answer at its status page, {one['status']}"
            yield warn("cluster", text, "Do a firewall, status_hosts or status_token differ?")
    yield from found


def _node(one: Mapping[str, Any]) -> str:
    return f"{one['name']} ({one['role']}, {one['followers']} followers)"
