"""The private listener: status page, JSON and metrics, with checks of the host and the token."""

from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.resource import Resource

from recodex_monitor.network.hello import ALERT, is_tls
from recodex_monitor.network.static import COMMON_FILES, read_common
from recodex_monitor.status.access import Access
from recodex_monitor.status.events import Events
from recodex_monitor.status.inspection import Inspection
from recodex_monitor.status.probes import PROBES, Probes
from recodex_monitor.status.resources import (
    NOT_FOUND,
    Answer,
    Channels,
    Jobs,
    Page,
    answer_of,
    as_json,
    constant,
    failure,
    file,
)
from recodex_monitor.status.sign_in import SignIn
from recodex_monitor.timing.throttle import ThrottledCounts

_log = Logger()

FOLDER = Path(__file__).with_name("pages")

MAX_CONNECTIONS = 100
"""Open connections, at most; further ones are closed at once."""

MAX_HEAD = 8192
"""Bytes of a request's head."""

MAX_BODY = 2048
"""Bytes of a request's body; only the sign-in form has one."""

TIMEOUT = 60
"""Seconds of silence after which a connection without an answer is closed."""

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    b"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    b"Content-Security-Policy": _POLICY,
    b"X-Content-Type-Options": b"nosniff",
    b"X-Frame-Options": b"DENY",
    b"Referrer-Policy": b"no-referrer",
    b"Cross-Origin-Resource-Policy": b"same-origin",
    b"Cache-Control": b"no-store",
}
_TLS = "TLS on the status port"
_SCRIPTS = ("status.js", "status-jobs.js", "status-job.js", "status-parts.js")
_PUBLIC = {
    *(*PROBES, b"metrics", b"status.css", b"sign-in"),
    *(name.encode() for name in COMMON_FILES),
}
"""The paths that need no token, since their answers name no job."""

_UNKNOWN_HOST = (
    "the status page is not known as '{host}'; add this name to status_hosts, or use localhost or"
    " the address at which it listens"
)


class _BodyTooLarge(Exception):
    """A chunked body has more than MAX_BODY bytes."""


class Request(server.Request):
    """A request whose body is bounded, and whose answer always has the security headers."""

    def gotLength(self, length: int | None) -> None:
        """Called by Twisted before it reads a body."""
        self.content = self._body = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Called by Twisted with a part of the body."""
        if self._body.tell() + len(data) > MAX_BODY:
            raise _BodyTooLarge
        super().handleContentChunk(data)

    def process(self) -> None:
        """Called by Twisted when the whole request has come."""
        for name, value in _HEADERS.items():
            self.setHeader(name, value)
        super().process()


class Connection(http.HTTPChannel):
    """A connection to the listener."""

    factory: "StatusSite"
    transport: Any
    totalHeadersSize = MAX_LENGTH = MAX_HEAD
    _has_received = False

    def connectionMade(self) -> None:
        """Called by Twisted when a client has connected."""
        super().connectionMade()
        self.factory.connections.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted when the connection has ended."""
        super().connectionLost(reason)
        self.factory.connections.discard(self)

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what the client has sent; the first may be TLS."""
        if not self._has_received:
            self._has_received = True
            if is_tls(data):
                self.factory.tls_received(getattr(self.transport.getPeer(), "host", ""))
                self.transport.write(ALERT)
                self.transport.loseConnection()
                return
        super().dataReceived(data)

    def headerReceived(self, line: bytes) -> bool:
        """Called by Twisted with a header; returns whether the request may go on."""
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            # Python reads no number of more than 4300 digits, such as a Content-Length.
            self._refuse(400)
            return False

    def allHeadersReceived(self) -> None:
        """Called by Twisted before it reads a body."""
        if (self.length or 0) > MAX_BODY:
            self._refuse(413)
        else:
            super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Called by Twisted with a part of the body as it was sent."""
        try:
            super().rawDataReceived(data)
        except _BodyTooLarge:
            self._refuse(413)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Called by Twisted with a line of the head that is too long."""
        self._refuse(431)

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's own answer has neither a date nor a length.
        self._refuse(400)

    def _refuse(self, status: int) -> None:
        lines = [
            b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode()),
            b"Date: " + http.datetimeToString(),
            *(b"%b: %b" % header for header in _HEADERS.items()),
            b"Content-Length: 0\r\nConnection: close\r\n\r\n",
        ]
        self.transport.write(b"\r\n".join(lines))
        self.loseConnection()


class StatusSite(server.Site):
    """Accepts connections and answers their requests.

    Attributes:
        connections: that are open.
        events: the stream of events of open pages.
        refused: counts clients that speak another protocol.
    """

    noisy = False
    requestFactory = Request
    protocol = Connection  # type: ignore[assignment]

    def __init__(
        self,
        inspection: Inspection,
        access: Access,
        probes: Probes,
        scrape: Callable[[str], Answer],
        reactor: Any = None,
    ) -> None:
        """Make a listener's factory without connections.

        Args:
            inspection: describes the monitor.
            access: decides who may see it.
            probes: answer balancers and other nodes.
            scrape: makes the metrics, for a header Accept.
            reactor: has the time.
        """
        self.connections: set[Connection] = set()
        self.refused = ThrottledCounts(_log, "status client", inspection.seconds)
        self.events = Events(
            inspection.status, inspection.list_jobs, lambda: inspection.jobs.may_refresh
        )
        root = Root(access, inspection.seconds)
        for name, page in probes.pages().items():
            root.putChild(name, page)
        root.putChild(b"metrics", Page(lambda request: scrape(_header(request, b"Accept"))))
        root.putChild(b"api", _api(inspection, self.events))
        super().__init__(root, reactor=reactor, timeout=TIMEOUT)

    def buildProtocol(self, addr: Any) -> Any:
        """Called by Twisted for a new connection; None closes it at once."""
        return super().buildProtocol(addr) if len(self.connections) < MAX_CONNECTIONS else None

    def tls_received(self, peer: str) -> None:
        """Count and log a client that speaks TLS, which this listener does not."""
        self.refused.add(_TLS, f"{_TLS}: {peer} should use http://, or a proxy that speaks TLS")

    def startFactory(self) -> None:
        """Called by Twisted when it listens; there is no access log to open."""

    def log(self, request: Any) -> None:
        """Called by Twisted after each request; there is no access log."""

    def close(self) -> None:
        """End all connections."""
        for connection in tuple(self.connections):
            connection.loseConnection()


class Root(Page):
    """All paths: serves the pages, and checks the host and the token of every request."""

    def __init__(self, access: Access, seconds: Callable[[], float]) -> None:
        super().__init__(lambda _: NOT_FOUND)
        self._access = access
        form = file(FOLDER / "status-sign-in.html", 401)
        self._sign_in = SignIn(access, form, seconds)
        job = file(FOLDER / "status-job.html")
        self.putChild(b"", constant(file(FOLDER / "status.html")))
        self.putChild(b"channels", Channels(constant(NOT_FOUND), lambda _: job))
        self.putChild(b"sign-in", Page(self._take_token, (b"POST",)))
        files = {name: file(FOLDER / name) for name in (*_SCRIPTS, "status.css")}
        files |= {name: answer_of(one) for name, one in read_common().items()}
        for name, answer in files.items():
            self.putChild(name.encode(), constant(answer))

    def getChildWithDefault(self, path: bytes, request: Any) -> Resource:
        """Called by Twisted with the first part of every request's path."""
        # As on the public port, trailing slashes are ignored.
        while request.postpath and not request.postpath[-1]:
            request.postpath.pop()
        refused = self._refusal(path, request)
        if refused is None:
            child: Resource = super().getChildWithDefault(path, request)
            return child
        request.postpath.clear()
        return constant(refused)

    def _refusal(self, path: bytes, request: Any) -> Answer | None:
        local = getattr(request.getHost(), "host", "")
        host = _header(request, b"Host")
        if path not in PROBES and not self._access.knows_host(host, local):
            return failure(421, _UNKNOWN_HOST.format(host=host[:100]))
        if path in _PUBLIC:
            return None
        return self._sign_in.refusal(
            _header(request, b"Authorization"),
            _header(request, b"Cookie"),
            for_person="text/html" in _header(request, b"Accept"),
        )

    def _take_token(self, request: Any) -> Answer:
        return self._sign_in.take(request.args.get(b"token", [b""])[0].decode("latin-1").strip())


def _api(inspection: Inspection, events: Events) -> Page:
    def load(channel_id: str, call: Callable[[], object], refuse: Callable[[], object]) -> None:
        inspection.hub.source.when_loaded(channel_id, call, refuse)

    def channel(channel_id: str) -> Answer:
        return as_json(inspection.channel(channel_id))

    api = constant(NOT_FOUND)
    api.putChild(b"status", Page(lambda _: as_json(inspection.status())))
    api.putChild(b"channels", Channels(Jobs(inspection.list_jobs), channel, load))
    api.putChild(b"events", events)
    return api


def _header(request: Any, name: bytes) -> str:
    return (request.getHeader(name) or b"").decode("latin-1")
