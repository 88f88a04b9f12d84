"""Asks a monitor's status page, and says in plain words why there is no answer."""

import argparse
import json
import os
import socket
import ssl
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from recodex_monitor.settings import environment, parsing, schema
from recodex_monitor.settings.endpoints import Address, SocketFile

_TIMEOUT = 10.0
_MAX_ANSWER = 2**26
_ALL_IPV4, _ALL_IPV6 = {"*", "0.0.0.0"}, "::"
_NOT_RUNNING = (
    "Is the monitor running, and with these settings? See `systemctl status recodex-monitor`, or"
    " supervisor, and the end of the monitor's log."
)
_OTHER_PORT = (
    "Is this the port of status_uri? The ports of websocket_uri and zeromq_uri have no status page."
)


class CannotAsk(Exception):
    """Why there is no answer, as a text for people."""


class Answer(NamedTuple):
    """What a server has answered.

    Attributes:
        status: of HTTP.
        body: its beginning, which is nearly always the whole.
        location: to which it redirects; None where it does not.
    """

    status: int
    body: bytes
    location: str | None = None


class Target(NamedTuple):
    """A status page to ask.

    Attributes:
        connection: to it; not opened yet.
        url: its address for people.
        source: where that address comes from, such as ``status_uri in config.yml``.
        token: to send; None for none.
        token_source: where the token comes from.
    """

    connection: HTTPConnection
    url: str
    source: str
    token: str | None = None
    token_source: str = ""

    def __str__(self) -> str:
        """The address and where it comes from."""
        return f"{self.url} ({self.source})"


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


def find_target(arguments: argparse.Namespace) -> Target:
    """The status page that the arguments ``url``, ``token`` and ``config`` mean.

    Raises:
        CannotAsk: they name none, or the settings cannot be read.
    """
    settings, file = schema.Settings(), arguments.config
    if arguments.url is None or file is not None:
        file = file or parsing.installed_file()
        settings = _load(file)
    url = arguments.url
    target = _by_settings(settings, file) if url is None else _by_url(url)
    if arguments.token:
        return target._replace(token=arguments.token, token_source="--token")
    return target._replace(token=settings.status_token, token_source=_source("status_token", file))


def _by_settings(settings: schema.Settings, file: str | None) -> Target:
    if settings.status_uri is None:
        where = f"in {file}" if file else f"anywhere: there is no {schema.DEFAULT_FILE}"
        raise CannotAsk(f"status_uri is not configured {where}; give -c FILE or --url URL")
    address, source = settings.status_uri, _source("status_uri", file)
    if isinstance(address, SocketFile):
        return Target(_FileConnection(address.path), str(address), source)
    host = "127.0.0.1" if address.host in _ALL_IPV4 else address.host
    reached = Address("::1" if host == _ALL_IPV6 else host, address.port)
    connection = HTTPConnection(reached.host, reached.port, timeout=_TIMEOUT)
    return Target(connection, f"http://{reached}", source)


def _source(key: str, file: str | None) -> str:
    """Where the value of a key comes from."""
    variable = environment.variable(key)
    return variable if variable in environment.given(os.environ) else f"{key} in {file}"


def _load(file: str | None) -> schema.Settings:
    try:
        return parsing.load(file)
    except schema.ConfigError as error:
        why = str(error)
        if isinstance(error.__context__, PermissionError):
            why += ". Only the monitor's user and root may read it: use sudo, or give --url URL"
        raise CannotAsk(why) from None


def _by_url(url: str) -> Target:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            return Target(kind(parts.hostname, parts.port, timeout=_TIMEOUT), url, "--url")
    except ValueError:
        pass
    raise CannotAsk(f"{url!r} is not the address of a status page; write http://HOST:PORT")


def ask(target: Target, path: str) -> dict[str, Any]:
    """The monitor's answer to a request.

    Raises:
        CannotAsk: there is no answer, or it is an error.
    """
    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    connection = target.connection
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read(_MAX_ANSWER)
    except (OSError, HTTPException, ValueError) as error:
        raise CannotAsk(explain(error, target)) from None
    finally:
        connection.close()
    return read(Answer(response.status, body, response.getheader("Location")), target)


def explain(error: Exception, target: Target) -> str:
    """Why a server could not be asked."""
    for kind, text in _ERRORS:
        if isinstance(error, kind):
            return text.format(target=target, error=_reason(error), timeout=_TIMEOUT)
    return f"cannot reach {target}: {_reason(error)}. {_NOT_RUNNING}"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (ConnectionRefusedError, f"nothing listens at {{target}}. {_NOT_RUNNING}"),
    (FileNotFoundError, f"there is no socket at {{target}}. {_NOT_RUNNING}"),
    (
        PermissionError,
        "this user may not connect to {target}: {error}. Use sudo, or run the command as the"
        " monitor's user.",
    ),
    (
        TimeoutError,
        f"no answer from {{target}} within {{timeout:.0f}} s: the monitor hangs, a firewall drops"
        f" the connection, or something else listens there. {_OTHER_PORT}",
    ),
    (socket.gaierror, "the host name of {target} cannot be resolved: {error}. Is it right?"),
    (
        ssl.SSLCertVerificationError,
        "the certificate of {target} is not trusted: {error}. Does its name fit, and does this"
        " machine know who signed it?",
    ),
    (
        ssl.SSLError,
        "{target} does not speak TLS: {error}. The status page itself speaks plain HTTP: write"
        " http://, unless a proxy adds TLS.",
    ),
    (
        ConnectionError,
        "{target} closed the connection without an answer: {error}. It has too many connections,"
        f" speaks TLS (then write https://), or is not a status page. {_OTHER_PORT}",
    ),
    (
        BadStatusLine,
        f"what listens at {{target}} does not speak HTTP. If it speaks TLS, write https://."
        f" {_OTHER_PORT}",
    ),
    (HTTPException, f"the answer of {{target}} is broken: {{error}}. {_OTHER_PORT}"),
    (
        ValueError,
        "cannot ask {target}: its address, or the token of {target.token_source}, has characters"
        " that HTTP does not allow",
    ),
)
"""What each kind of error means; the first kind that fits."""


def read(answer: Answer, target: Target) -> dict[str, Any]:
    """The values in an answer of the monitor.

    Raises:
        CannotAsk: the answer is an error, or another server's.
    """
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = None
    if not isinstance(told, dict) or (answer.status != 200 and "error" not in told):
        raise CannotAsk(_not_ours(answer, target))
    if answer.status == 200:
        return told
    if answer.status == 401:
        raise CannotAsk(_of_token(target))
    raise CannotAsk(f"{target} answers {answer.status}: {told['error']}")


def _of_token(target: Target) -> str:
    if target.token:
        text = f"{target} refuses the token of {target.token_source}: it is wrong. Is it the"
        return f"{text} status_token with which the monitor was started?"
    text = f"{target} asks for a token. Give its status_token by --token TOKEN, or the settings"
    return f"{text} that have it by -c FILE."


def _not_ours(answer: Answer, target: Target) -> str:
    status, other = answer.status, answer.location
    if 300 <= status < 400 and other:
        return f"{target} redirects to {other}. Ask that address with --url, if it is the monitor's"
    if status in (502, 503, 504):
        text = f"a proxy at {target} answers {status}: it does not reach the monitor."
        return f"{text} {_NOT_RUNNING}"
    if status in (401, 403, 407):
        return f"a server in front of {target} refuses the request with {status}"
    return f"{target} is not the status page of a monitor (it answers {status}). {_OTHER_PORT}"
