"""A client's connection that speaks plain HTTP: one request and one answer."""

from io import BytesIO
from typing import Any, Protocol

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from recodex_monitor.clients.admission import Refused
from recodex_monitor.clients.refusals import BAD_REQUEST, STOPPING, whole_answer


class Server(Protocol):
    """Answers the requests of connections."""

    def received(self, request: Any) -> None:
        """Called with a request once all of it that is read has come."""

    def refused(self, refused: Refused) -> None:
        """Called with the refusal of a request that is not understood."""

    def finishing(self, connection: "HttpConnection") -> None:
        """Called when everything was written, and the client has not read all of it."""

    def lost(self, connection: "HttpConnection") -> None:
        """Called when the connection has ended."""


class Request(http.Request):
    """A request, which the server of its connection answers."""

    def gotLength(self, length: int | None) -> None:
        """Called by Twisted with the length of the body, which is not kept."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Called by Twisted with a part of a chunked body."""
        raise _BodyReceived

    def process(self) -> None:
        """Called by Twisted when the head, and the end of a chunked body, have come."""
        connection: Any = self.channel
        connection.server.received(self)


class _BodyReceived(Exception):
    """Raised when a chunked body turns out not to be empty."""


class Following(Protocol):
    """An answer that follows a channel, or is about to."""

    def leave(self) -> None:
        """End once everything due is sent."""

    def lost(self) -> None:
        """Note that the connection has ended."""


class HttpConnection(http.HTTPChannel):
    """A client's connection, for one request; a ``connections.Connection``.

    Attributes:
        server: answers the request.
        address: of an admitted client; None before it is admitted.
        stream: the answer, if it is one that follows a channel, from then on.
        has_body: whether the request has a body, which is not read.
    """

    transport: Any
    requestFactory = Request
    timeOut = None
    address: str | None = None
    stream: Following | None = None
    has_body = False
    _head = b""
    _raw = 0

    def __init__(self, server: Server, max_head_size: int) -> None:
        """Wait for a request.

        Args:
            server: answers it.
            max_head_size: bytes of its head, at most.
        """
        super().__init__()
        self.server = server
        self.totalHeadersSize = self.MAX_LENGTH = max_head_size

    def begin(self, head: bytes) -> None:
        """Read the whole head of a request; answers it, unless a chunked body is to follow."""
        self._head = head
        self.dataReceived(head)
        self._head = b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted when the connection has ended."""
        super().connectionLost(reason)
        self.server.lost(self)

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Called by Twisted to ask whether another request may follow; none may.

        Else a proxy could reuse the connection for a WebSocket handshake, which is not understood
        here.
        """
        request.setHeader(b"Connection", b"close")
        return False

    def headerReceived(self, line: bytes) -> bool:
        """Called by Twisted with a header; returns whether the request may go on."""
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            # Python reads no number of more than 4300 digits, such as a Content-Length.
            self._respondToBadRequestAndDisconnect()
            return False

    def allHeadersReceived(self) -> None:
        """Called by Twisted before it reads a body; only whether there is one matters here."""
        if self.length is not None:
            self.has_body = self.length > 0
            self.length = 0
        self.requests[-1].requestHeaders.removeHeader(b"Expect")
        super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Called by Twisted with what comes after the head: of a chunked body, or ignored."""
        self._raw += len(data)
        try:
            super().rawDataReceived(data)
            if self._transferDecoder is not None and self._raw > self.totalHeadersSize:
                raise _BodyReceived
        except _BodyReceived:
            self.has_body = True
            self.allContentReceived()

    def requestDone(self, request: Any) -> None:
        """Called by Twisted when the answer is written."""
        self.finishing()
        super().requestDone(request)

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.server.refused(BAD_REQUEST)
        self.transport.write(whole_answer(BAD_REQUEST, self._head))
        self.loseConnection()

    def detach(self) -> bytes:
        """Leave the transport to another protocol; returns what came after the request."""
        self.transport.unregisterProducer()
        for request in self.requests:
            request.channel = None
        self.requests.clear()
        return b"".join(self._dataBuffer)

    def finishing(self) -> None:
        """Bound the time in which the client reads the rest of the answer."""
        self.server.finishing(self)

    def leave(self) -> None:
        """End a stream once everything due is sent; see connections.Connection."""
        if self.stream is not None:
            self.stream.leave()
        elif not self._handlingRequest:
            self.transport.write(whole_answer(STOPPING))
            self.loseConnection()

    def cut(self) -> None:
        """End the connection at once; see connections.Connection."""
        self.transport.abortConnection()
