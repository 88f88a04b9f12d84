"""The private listener: how the monitor is, for people and for machines."""

import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import implementer

from recodex_monitor.network.static import read_file
from recodex_monitor.status.access import Access
from recodex_monitor.status.inspection import View
from recodex_monitor.timing.throttle import Dropped

_log = Logger()

FOLDER = Path(__file__).with_name("pages")

MAX_CONNECTIONS = 100
"""Connections of the listener; the next are closed at once."""

MAX_HEAD = 8192
"""Bytes of a request's head."""

MAX_BODY = 2048
"""Bytes of a request's body, which only the form for the token has."""


_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    b"Content-Security-Policy": _POLICY,
    b"X-Content-Type-Options": b"nosniff",
    b"X-Frame-Options": b"DENY",
    b"Referrer-Policy": b"no-referrer",
    b"Cross-Origin-Resource-Policy": b"same-origin",
    b"Cache-Control": b"no-store",
}
_STYLE = {"/status.css": "status.css"}
_FILES = {
    "/": "status.html",
    "/status.js": "status.js",
    "/status-job.js": "status-job.js",
    "/status-parts.js": "status-parts.js",
}
_JOB, _SIGN_IN = "status-job.html", "status-sign-in.html"

Unready = Callable[[], list[str]]
"""Tells why the monitor cannot serve students; empty where it can."""


class Answer(NamedTuple):
    """What a request is answered with."""

    status: int
    content: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


def as_json(value: object, status: int = 200) -> Answer:
    """An answer of JSON."""
    return Answer(status, json.dumps(value).encode() + b"\n")


def failure(status: int, why: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer that says why there is no other."""
    return as_json({"error": why}, status)._replace(headers=headers)


class Request(http.Request):
    """A request, answered by its connection's ``Status``."""

    def process(self) -> None:
        """Called by Twisted with a whole request."""
        connection: Any = self.channel
        connection.status.received(self)


class Connection(http.HTTPChannel):
    """A connection to the listener."""

    requestFactory = Request
    timeOut = 60
    totalHeadersSize = MAX_LENGTH = MAX_HEAD

    def __init__(self, status: "Status") -> None:
        super().__init__()
        self.status = status

    def connectionMade(self) -> None:
        """Called by Twisted when a client has connected."""
        super().connectionMade()
        self.status.connections.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted when the connection has gone."""
        super().connectionLost(reason)
        self.status.connections.discard(self)

    def allHeadersReceived(self) -> None:
        """Called by Twisted before it reads a body."""
        if self.length is None or self.length > MAX_BODY:
            self._respondToBadRequestAndDisconnect()
        else:
            super().allHeadersReceived()


@implementer(IPushProducer)
class Watcher:
    """A page that is told again and again how things are."""

    def __init__(self, status: "Status", request: Any) -> None:
        self._status = status
        self._request = request
        self._paused = False
        request.registerProducer(self, True)
        request.notifyFinish().addErrback(lambda _: status.watchers.discard(self))

    def tell(self, event: bytes) -> None:
        """Send an event, unless the page has not taken the last one."""
        if not self._paused:
            self._request.write(event)

    def pauseProducing(self) -> None:
        """Called by the transport when the page takes no more."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Called by the transport when it has taken all."""
        self._paused = False

    def stopProducing(self) -> None:
        """Called by the transport when the connection has gone."""
        self._status.watchers.discard(self)


class Status(ServerFactory):
    """Makes the connections, and answers their requests.

    Attributes:
        connections: that are open.
        watchers: pages that are told of what changes.
    """

    noisy = False

    def __init__(
        self, view: View, access: Access, unready: Unready, scrape: Callable[[], Answer]
    ) -> None:
        """Make a listener's factory without connections.

        Args:
            view: what is to be seen.
            access: who may see it.
            unready: tells why the monitor is not ready.
            scrape: makes the metrics.
        """
        self.connections: set[Connection] = set()
        self.watchers: set[Watcher] = set()
        self._view = view
        self._access = access
        self._unready = unready
        self._wrong = Dropped(_log, "sign-in", view.seconds)
        self._files = {name: read_file(FOLDER / name) for name in _names()}
        self._open: dict[str, Callable[[], Answer]] = {
            "/healthz": lambda: as_json({"healthy": True}),
            "/readyz": self._readyz,
            "/metrics": scrape,
        }
        self._closed: dict[str, Callable[[], Answer]] = {
            "/api/status": lambda: as_json(view.status()),
            "/api/channels": lambda: as_json({"channels": view.channels()}),
        }

    def buildProtocol(self, addr: Any) -> Connection | None:
        """Called by Twisted for a new connection; None closes it at once."""
        return Connection(self) if len(self.connections) < MAX_CONNECTIONS else None

    def received(self, request: Any) -> None:
        """Answer a request, whatever it is."""
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        try:
            answer = self._answer(request)
        except Exception:
            _log.failure("answering a request for the status failed")
            answer = failure(500, "a bug")
        if answer is not None:
            _send(request, answer)

    def tell(self) -> None:
        """Tell all watchers how things are now."""
        if self.watchers:
            event = self._event()
            for watcher in tuple(self.watchers):
                watcher.tell(event)

    def close(self) -> None:
        """End all connections."""
        for connection in tuple(self.connections):
            connection.loseConnection()

    def _event(self) -> bytes:
        now = {"status": self._view.status(), "channels": self._view.channels()}
        return b"data: %b\n\n" % json.dumps(now).encode()

    def _answer(self, request: Any) -> Answer | None:
        path = request.path.decode("latin-1")
        local = getattr(request.getHost(), "host", "")
        if not self._access.knows_host(_header(request, b"Host"), local):
            return failure(421, "this host name is not known, see status_hosts")
        if request.method == b"POST" and path == "/sign-in":
            return self._sign_in(request)
        if request.method not in (b"GET", b"HEAD"):
            return failure(405, "only GET and HEAD", (b"Allow", b"GET, HEAD"))
        if path in self._open:
            return self._open[path]()
        if path in _STYLE:
            return self._file(_STYLE[path])
        if not self._access.admits(_header(request, b"Authorization"), _header(request, b"Cookie")):
            return self._ask_for_token(request)
        return self._serve(request, path)

    def _serve(self, request: Any, path: str) -> Answer | None:
        """Answer a client that may see all."""
        if path in _FILES:
            return self._file(_FILES[path])
        if path in self._closed:
            return self._closed[path]()
        if path == "/api/events":
            self._watch(request)
            return None
        if path.startswith("/channels/"):
            return self._file(_JOB)
        if path.startswith("/api/channels/"):
            channel_id = unquote(path.removeprefix("/api/channels/"), errors="replace")
            return as_json(self._view.channel(channel_id))
        return failure(404, "there is nothing here")

    def _watch(self, request: Any) -> None:
        request.setHeader(b"Content-Type", b"text/event-stream")
        request.setHeader(b"X-Accel-Buffering", b"no")
        if request.method == b"HEAD":
            request.finish()
            return
        watcher = Watcher(self, request)
        self.watchers.add(watcher)
        watcher.tell(self._event())

    def _file(self, name: str, status: int = 200) -> Answer:
        file = self._files[name]
        return Answer(status, file.content, file.content_type)

    def _readyz(self) -> Answer:
        why = self._unready()
        return as_json({"ready": not why, "why": why}, 503 if why else 200)

    def _ask_for_token(self, request: Any) -> Answer:
        if "text/html" in _header(request, b"Accept"):
            return self._file(_SIGN_IN, 401)
        return failure(401, "a token is needed", (b"WWW-Authenticate", b"Bearer"))

    def _sign_in(self, request: Any) -> Answer:
        token = request.args.get(b"token", [b""])[0].decode("latin-1").strip()
        if not self._access.is_token(token):
            self._wrong.add("token", "a wrong token for the status page")
            return self._file(_SIGN_IN, 401)
        cookie = self._access.cookie().encode()
        return Answer(303, b"", b"text/plain", ((b"Location", b"/"), (b"Set-Cookie", cookie)))


def _names() -> list[str]:
    return [*_FILES.values(), *_STYLE.values(), _JOB, _SIGN_IN]


def _header(request: Any, name: bytes) -> str:
    return (request.getHeader(name) or b"").decode("latin-1")


def _send(request: Any, answer: Answer) -> None:
    request.setResponseCode(answer.status, HTTPStatus(answer.status).phrase.encode())
    request.setHeader(b"Content-Type", answer.content_type)
    request.setHeader(b"Content-Length", b"%d" % len(answer.content))
    for name, value in answer.headers:
        request.setHeader(name, value)
    if request.method != b"HEAD":
        request.write(answer.content)
    request.finish()
