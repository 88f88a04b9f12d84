"""`recodex-monitor status`: how a running monitor is, or one of its jobs, in the terminal."""

import argparse
import json
import socket
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

from recodex_monitor.settings import parsing, schema
from recodex_monitor.settings.endpoints import SocketFile
from recodex_monitor.status.diagnosis import span
from recodex_monitor.tools.progress import printable

_TIMEOUT = 10.0
_ANY = {"*", "0.0.0.0", "::"}
_LAST = 20


class CannotAsk(Exception):
    """Why there is no answer, as a text for people."""


class _FileConnection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Called by http.client."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recodex-monitor status`."""
    parser.description = (
        "Show how the running monitor is, or what is going on with one job and why a student "
        "may see no progress of it."
    )
    parser.epilog = "Exit codes: 0 the monitor has answered, 1 it has not."
    parser.add_argument("job", nargs="?", metavar="ID", help="the id of a job")
    parser.add_argument("--url", help="where the monitor tells its status; else the settings say")
    parser.add_argument("--token", help="its status_token; else the settings say")


def run(arguments: argparse.Namespace) -> int:
    """Run `recodex-monitor status` and return its exit code."""
    path = "/api/status" if arguments.job is None else f"/api/channels/{quote(arguments.job, '')}"
    try:
        connection, token = _place(arguments)
        told = ask(connection, path, token)
    except CannotAsk as error:
        print(f"recodex-monitor status: {error}", file=sys.stderr)
        return 1
    lines = of_monitor(told) if arguments.job is None else of_job(told)
    print("\n".join(map(printable, lines)))
    return 0


def _place(arguments: argparse.Namespace) -> tuple[HTTPConnection, str | None]:
    """What to ask, and with which token."""
    settings = schema.Settings()
    if arguments.url is None or arguments.config is not None:
        try:
            settings = parsing.load(arguments.config or parsing.installed_file())
        except schema.ConfigError as error:
            raise CannotAsk(str(error)) from None
    token = arguments.token or settings.status_token
    if arguments.url is not None:
        return _by_url(arguments.url), token
    address = settings.status_uri
    if address is None:
        raise CannotAsk("status_uri is not configured; give -c FILE or --url URL")
    if isinstance(address, SocketFile):
        return _FileConnection(address.path), token
    host = "127.0.0.1" if address.host in _ANY else address.host
    return HTTPConnection(host, address.port, timeout=_TIMEOUT), token


def _by_url(url: str) -> HTTPConnection:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            return kind(parts.hostname, parts.port, timeout=_TIMEOUT)
    except ValueError:
        pass
    raise CannotAsk(f"{url!r} is not the address of a monitor, write http://HOST:PORT")


def ask(connection: HTTPConnection, path: str, token: str | None) -> dict[str, Any]:
    """What a monitor answers.

    Raises:
        CannotAsk: it does not.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        told = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        raise CannotAsk(f"no answer: {error}") from None
    finally:
        connection.close()
    if response.status != 200 or not isinstance(told, dict):
        why = told.get("error") if isinstance(told, dict) else "no status"
        raise CannotAsk(f"the answer is {response.status}: {why}")
    return told


def of_monitor(told: dict[str, Any]) -> list[str]:
    """Lines about a monitor."""
    broker, states, totals = told["broker"], told["channels"], told["totals"]
    now = told["now"]
    lines = [
        f"version    {told['settings'].get('version', '')}, up for {span(told['uptime'])}",
        f"broker     {_broker(broker, now)}",
        f"channels   {_listed(states)}",
        f"followers  {told['followers']}, of them {told['slow']} slow",
        f"so far     {totals['messages']} messages, {totals['deliveries']} deliveries",
        f"process    {told['memory'] >> 20} MB, {told['open_files']} open files",
    ]
    for heading, counts in (
        ("ended", told["ends"]),
        ("dropped", told["dropped"]),
        ("limits", told["limits"]),
    ):
        if any(counts.values()):
            lines.append(f"{heading:10} {_listed(counts)}")
    return [*lines, *_hints(told)]


def _broker(broker: dict[str, Any], now: float) -> str:
    if not broker["connected"]:
        return f"is not connected at {broker['address']}"
    last = f", last message {span(now - broker['last'])} ago" if broker["last"] else ""
    return f"connected for {span(now - broker['since'])}{last}"


def _listed(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def of_job(told: dict[str, Any]) -> list[str]:
    """Lines about a job."""
    lines = [told["id"], told["going_on"]]
    if told["messages"]:
        lines += ["", f"attempt {told['attempts']}: {_listed(told['tasks'])}"]
    timeline = told["timeline"]
    before = told["omitted"] + max(0, len(timeline) - _LAST)
    if before:
        lines.append(f"  ({before} messages before these)")
    lines += [f"  {_when(one['at'])}  {_message(one)}" for one in timeline[-_LAST:]]
    lines += ["", f"followers: {told['followers']}", *_readers(told)]
    return [*lines, *(_hints(told) or ["", "The monitor sees nothing that is wrong."])]


def _when(at: float | None) -> str:
    if at is None:
        return "before the restart"
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at * 10) % 10}"


def _message(one: dict[str, Any]) -> str:
    keys = ("command", "task_id", "task_state")
    return " ".join(str(one[key])[:80] for key in keys if key in one)


def _readers(told: dict[str, Any]) -> Iterator[str]:
    for one in told["readers"]:
        since, behind = span(told["now"] - one["since"]), one["behind"]
        address = f", {one['address']}" if one.get("address") else ""
        late = f"{behind} bytes behind" if behind else "has got all"
        yield f"  {one['transport']} for {since}, {late}{address}"


def _hints(told: dict[str, Any]) -> list[str]:
    hints = [f"  {one['cause']}: {one['text']}" for one in told["hints"]]
    return ["", "Why students may see no progress:", *hints] if hints else []
