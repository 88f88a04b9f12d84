"""The plain HTTP of the public port: pages, and channels as streams and as snapshots."""

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from recodex_monitor.channels.hub import NoRoom
from recodex_monitor.clients.admission import RETRY_AFTER, Refused
from recodex_monitor.clients.connections import Reception
from recodex_monitor.clients.streams import MAX_WAIT, EventStream, Snapshot, Stream, Streams
from recodex_monitor.network.static import File, read_file
from recodex_monitor.settings.schema import Limits
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import Turns
from recodex_monitor.timing.timeouts import Deadlines

_log = Logger()

FOLDER = Path(__file__).with_name("static")

METHODS = b"GET, HEAD, OPTIONS"

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {
    b"/": "index.html",
    b"/progress.js": "progress.js",
    b"/watch.js": "watch.js",
    b"/watch.css": "watch.css",
}
_WATCH = "watch.html"
_HOST = re.compile(rb"^https?://[^/]*")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def plain_answer(status: int) -> bytes:
    """A whole answer that says only that a request failed."""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n"
    retry = f"Retry-After: {RETRY_AFTER}\r\n" if status == 503 else ""
    return f"{head}{retry}Content-Length: 0\r\n\r\n".encode()


class Request(http.Request):
    """A request, answered by its connection's ``Web``."""

    def process(self) -> None:
        """Called by Twisted with a whole head."""
        connection: Any = self.channel
        connection.web.received(self)


class Connection(http.HTTPChannel):
    """A client's connection, for one request.

    Attributes:
        web: answers.
        address: of the client that has a place; None without one.
        stream: that is the answer, once it follows its channel; None for other answers.
        has_body: the request has a body, which is not read.
    """

    transport: Any
    requestFactory = Request
    timeOut = None
    address: str | None = None
    stream: Stream | None = None
    has_body = False

    def __init__(self, web: "Web", max_head_size: int) -> None:
        super().__init__()
        self.web = web
        self.totalHeadersSize = self.MAX_LENGTH = max_head_size

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted when the connection has gone."""
        super().connectionLost(reason)
        self.web.lost(self)

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Called by Twisted to learn whether another request may follow; none may.

        A proxy would send it an upgrade to WebSocket, of which this protocol knows nothing.
        """
        request.setHeader(b"Connection", b"close")
        return False

    def allHeadersReceived(self) -> None:
        """Called by Twisted before it reads a body, which we refuse to read."""
        self.has_body = self.length != 0
        self.length = 0
        self.requests[-1].requestHeaders.removeHeader(b"Expect")
        super().allHeadersReceived()

    def requestDone(self, request: Any) -> None:
        """Called by Twisted when the answer is written."""
        self.finishing()
        super().requestDone(request)

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.transport.write(plain_answer(400))
        self.loseConnection()

    def finishing(self) -> None:
        """See to it that the client takes its time within bounds."""
        self.web.finishing(self)

    def leave(self) -> None:
        """End once all that is due is sent; see reception.Guest."""
        if self.stream is not None:
            self.stream.leave()

    def cut(self) -> None:
        """End at once; see reception.Guest."""
        self.transport.abortConnection()


class Web:
    """Makes the connections that speak plain HTTP, and answers their requests."""

    def __init__(
        self, streams: Streams, reception: Reception, limits: Limits, clock: Clock
    ) -> None:
        """Make a site without connections.

        Args:
            streams: watches over the streams.
            reception: knows all connections and gives places to clients.
            limits: of the connections.
            clock: tells the time.
        """
        self._streams = streams
        self._reception = reception
        self._limits = limits
        self._seconds = clock.seconds
        self._files = {path: read_file(FOLDER / name) for path, name in _FILES.items()}
        self._watch_page = read_file(FOLDER / _WATCH)
        self._finishing = Deadlines[Connection](lambda: limits.finish_timeout)
        self._roots: dict[bytes, Callable[[Any, str], None]] = {
            b"/events/": self._events,
            b"/channels/": self._messages,
            b"/watch/": self._watch,
        }
        self.sweep = Turns(clock, self._sweep_steps)
        """Cuts the clients that take too long to read; call it every second."""

    def buildProtocol(self) -> Connection:
        """Make a connection, which the reception knows already."""
        return Connection(self, self._limits.max_handshake_size)

    def lost(self, connection: Connection) -> None:
        """A client has gone."""
        self._finishing.discard(connection)
        if connection.stream is not None:
            connection.stream.lost()
        if connection.address is not None:
            self._reception.release(connection.address)
        self._reception.lost(connection)

    def finishing(self, connection: Connection) -> None:
        """A client has more to take, and nothing more will come for it."""
        self._finishing.put_once(connection, self._seconds())

    def received(self, request: Any) -> None:
        """Answer a request, whatever it is."""
        connection = request.channel
        request.setHeader(b"Date", http.datetimeToString())
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        try:
            self._answer(request)
        except Refused as refused:
            self._fail(request, refused.status)
        except NoRoom as error:
            self._reception.refused.add("no room", error)
            self._fail(request, 503)
        except Exception:
            _log.failure("answering a request failed")
            if request.startedWriting or connection.stream is not None:
                connection.cut()
            else:
                self._fail(request, 500)

    def _answer(self, request: Any) -> None:
        _check(request)
        origin = (request.getHeader(b"Origin") or b"").decode("latin-1")
        self._allow(request, origin)
        if request.method == b"OPTIONS":
            _preflight(request)
            return
        forwarded_for = b",".join(request.requestHeaders.getRawHeaders(b"X-Forwarded-For", ()))
        connection = request.channel
        connection.address = self._reception.admit(
            connection.transport, forwarded_for.decode("latin-1"), origin
        )
        self._serve(request)

    def _allow(self, request: Any, origin: str) -> None:
        """Let pages of other origins read the answer, if they may."""
        request.setHeader(b"Vary", b"Origin")
        if origin and not self._reception.allows(origin):
            raise Refused(403, "origin not allowed")
        if origin:
            request.setHeader(b"Access-Control-Allow-Origin", origin.encode("latin-1"))
            request.setHeader(b"Access-Control-Expose-Headers", b"Retry-After")

    def _serve(self, request: Any) -> None:
        path = _HOST.sub(b"", request.path) or b"/"
        if path in self._files:
            _send_file(request, self._files[path])
            return
        for root, serve in self._roots.items():
            if path.startswith(root):
                serve(request, self._channel_id(path[len(root) :]))
                return
        raise Refused(404, "not found")

    def _channel_id(self, quoted: bytes) -> str:
        unquoted = unquote_to_bytes(quoted)
        if not unquoted or _BAD_ESCAPE.search(quoted):
            raise Refused(400, "not a channel id")
        if len(unquoted) > self._limits.max_channel_id:
            raise Refused(414, "the channel id is too long")
        try:
            return unquoted.decode()
        except UnicodeDecodeError:
            raise Refused(400, "not a channel id") from None

    def _watch(self, request: Any, channel_id: str) -> None:
        _send_file(request, self._watch_page)

    def _events(self, request: Any, channel_id: str) -> None:
        last = request.getHeader(b"Last-Event-ID") or _argument(request, b"after")
        _begin(request, EventStream(self._streams, request, channel_id), last)

    def _messages(self, request: Any, channel_id: str) -> None:
        wait = _argument(request, b"wait") or b"0"
        if not re.fullmatch(rb"[0-9]{1,2}", wait) or int(wait) > MAX_WAIT:
            raise Refused(400, "wait is not a number of seconds")
        stream = Snapshot(self._streams, request, channel_id, int(wait))
        _begin(request, stream, _argument(request, b"after"))

    def _fail(self, request: Any, status: int) -> None:
        if status == 503:
            request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER)
        if status == 405:
            request.setHeader(b"Allow", METHODS)
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        _send(request, f"{status} {HTTPStatus(status).phrase}\n".encode())

    def _sweep_steps(self) -> Iterator[None]:
        for connection in self._finishing.pop_due(self._seconds()):
            connection.cut()
            yield


def _check(request: Any) -> None:
    """Refuse what is wrong with a request whatever it is for."""
    hosts = request.requestHeaders.getRawHeaders(b"Host", ())
    if len(hosts) > 1 or (not hosts and request.clientproto == b"HTTP/1.1"):
        raise Refused(400, "not one Host")
    if request.method not in METHODS.split(b", "):
        raise Refused(405, "method not allowed")
    if request.channel.has_body:
        raise Refused(413, "a body")


def _preflight(request: Any) -> None:
    """Tell a browser what pages of other origins may ask."""
    request.setHeader(b"Allow", METHODS)
    request.setHeader(b"Access-Control-Allow-Methods", b"GET")
    request.setHeader(b"Access-Control-Allow-Headers", b"Last-Event-ID")
    request.setHeader(b"Access-Control-Max-Age", b"600")
    request.setResponseCode(204)
    request.finish()


def _begin(request: Any, stream: Stream, after: bytes) -> None:
    request.setHeader(b"Content-Type", stream.content_type)
    request.setHeader(b"Cache-Control", b"no-store, no-transform")
    # Nginx would hold back what comes slowly, for its buffers to fill or to compress it.
    request.setHeader(b"X-Accel-Buffering", b"no")
    request.setHeader(b"Content-Encoding", b"identity")
    if request.method == b"HEAD":
        request.finish()
    else:
        stream.begin(after.decode("latin-1"))


def _argument(request: Any, name: bytes) -> bytes:
    value: bytes = request.args.get(name, [b""])[-1]
    return value


def _send_file(request: Any, file: File) -> None:
    request.setHeader(b"Content-Type", file.content_type)
    request.setHeader(b"Content-Security-Policy", _POLICY)
    request.setHeader(b"Referrer-Policy", b"no-referrer")
    request.setHeader(b"Cache-Control", b"no-cache")
    if request.setETag(file.etag) is http.CACHED:
        request.finish()
    else:
        _send(request, file.content)


def _send(request: Any, content: bytes) -> None:
    request.setHeader(b"Content-Length", b"%d" % len(content))
    request.write(content)
    request.finish()
