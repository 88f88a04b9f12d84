"""Autobahn's server protocol, made light: what a connection of ours costs is decided here.

Ordinary handshakes and small frames are answered without Autobahn, and connections share what
they have alike. Whatever is unusual goes to Autobahn's own code, which knows what is wrong.
"""

from http import HTTPStatus
from typing import Any, TypeVar

import txaio
from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from autobahn.websocket.utf8validator import Utf8Validator

from recodex_monitor.channels.frames import CLOSE, PONG, TEXT, lone_frame
from recodex_monitor.clients.admission import RETRY_AFTER, Refused
from recodex_monitor.clients.close_codes import NORMAL
from recodex_monitor.clients.fast_path import Handshake, ordinary

Headers = list[tuple[str, str]]


_KEPT = ("connected", "transport", "state")


class LeanServerProtocol(WebSocketServerProtocol):  # type: ignore[misc]
    """A WebSocket connection; a subclass says who may connect and what messages mean.

    Attributes:
        kept: names of a subclass's attributes that a connection needs between two messages.
        max_handshake_size: bytes of a request's head.
    """

    kept: tuple[str, ...] = ()
    max_handshake_size: int
    utf8validator: Utf8Validator | None

    # What clients do wrong is told by our own lines; Autobahn's would quote them unbounded.
    log = txaio.make_logger(level="error")

    def __init__(self) -> None:
        """A connection has no attributes of its own yet, see lean_class."""

    def admit(self, forwarded_for: str, origin: str, target: str) -> None:
        """Called with a handshake's X-Forwarded-For and Origin, empty without one, and its target.

        Raises:
            Refused: the client may not connect.
        """
        raise NotImplementedError

    def is_unusual(self, data: bytes) -> None:
        """Called with a connection's first data where they are no ordinary handshake.

        Where they turn out to be another, it goes to ``begin`` of a new connection.
        """
        raise NotImplementedError

    def expects_message(self) -> bool:
        """Whether another message means something."""
        raise NotImplementedError

    def connectionMade(self) -> None:
        """Called by Twisted when a client has connected.

        Autobahn's own would look up what is written down of every connection and never used.
        """

    def connectionLost(self, reason: Any = None) -> None:
        """Called by Twisted when the connection has gone, however."""
        self._connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what came in."""
        if self.state == self.STATE_CONNECTING:
            self._handshake_received(data)
        elif not self._lone_frame_received(data):
            self._dataReceived(data)
            if self.state == self.STATE_OPEN:
                self._shed()

    def _lone_frame_received(self, data: bytes) -> bool:
        """Take what nearly all of a client's packets are: its id, a pong, the end; else False.

        Autobahn takes 60 us for such a packet, which is a third of what a client costs.
        """
        if self.data or self.current_frame is not None or self.inside_message:
            return False
        first, payload = lone_frame(data) or (0, b"")
        if first == TEXT and self.expects_message() and self.state == self.STATE_OPEN:
            return self._text_received(payload)
        if first == CLOSE and payload == b"\x03\xe8" and self.state == self.STATE_CLOSING:
            self.wasClean = True
            self.remoteCloseCode = NORMAL
            self.dropConnection()
            return True
        return first == PONG

    def _text_received(self, payload: bytes) -> bool:
        try:
            payload.decode()
        except UnicodeDecodeError:
            return False
        self.onMessage(payload, False)
        return True

    def _handshake_received(self, data: bytes) -> None:
        request = ordinary(data)
        if request is not None and request.length <= self.max_handshake_size:
            self._answer(request, data)
        else:
            self.is_unusual(data)

    def begin(self, data: bytes) -> None:
        """Take the first data of a connection, when the whole head of a handshake is in them."""
        request = ordinary(data)
        if request is not None:
            self._answer(request, data)
        else:
            self._dataReceived(data)

    def _answer(self, request: Handshake, data: bytes) -> None:
        """Open the connection, as Autobahn does after a handshake of its own."""
        try:
            self.admit(request.forwarded_for, request.origin, request.target)
        except Refused as refused:
            self.failHandshake(refused.reason, refused.status)
            return
        self.transport.write(request.answer)
        self.state = self.STATE_OPEN
        self.onOpen()
        if len(data) > request.length:
            self._dataReceived(data[request.length :])

    def _shed(self) -> None:
        """Let go of what Autobahn keeps of a handshake and of messages that are over.

        Autobahn's own handshake and messages leave some 8 KB.
        """
        if self.current_frame is None and not self.data and not self.inside_message:
            own = vars(self)
            self.__dict__ = {name: own[name] for name in (*_KEPT, *self.kept) if name in own}

    def onConnect(self, request: ConnectionRequest) -> None:
        """Called by Autobahn with a request that is in order; raises to refuse it."""
        try:
            forwarded_for = request.headers.get("x-forwarded-for", "")
            self.admit(forwarded_for, request.origin, self.http_request_uri)
        except Refused as refused:
            raise ConnectionDeny(refused.status, refused.reason) from None

    def failHandshake(
        self, reason: str, code: int = 400, responseHeaders: Headers | None = None
    ) -> None:
        """Called by Autobahn, and by us, to answer with an error and end the connection."""
        headers = [("Connection", "close"), ("Content-Length", "0"), *(responseHeaders or ())]
        if code == 503:
            headers.append(("Retry-After", str(RETRY_AFTER)))
        # What came from the client and is quoted in Autobahn's reasons stays out of the answer.
        super().failHandshake(HTTPStatus(code).phrase, code, headers)

    def _onOpen(self) -> None:
        # Autobahn's own looks for a TLS certificate of the client.
        self.onOpen()

    def onFrameBegin(self) -> None:
        """Called by Autobahn with each frame; only those of text need a validator."""
        if self.utf8validator is None:
            self.utf8validator = Utf8Validator()
        super().onFrameBegin()

    def dropConnection(self, abort: bool = False) -> None:
        """Called by Autobahn to end the TCP connection.

        After both close frames it would reset it, which a browser takes for an unclean end.
        """
        super().dropConnection(abort and not self.wasClean)


_P = TypeVar("_P", bound=LeanServerProtocol)


def lean_class(protocol: type[_P], factory: Any, max_handshake_size: int) -> type[_P]:
    """The class of a factory's connections: all begin with the same attributes.

    Autobahn gives each connection some sixty: its options, which it also writes into a debug
    line at any log level, and its state. Made once, they are attributes of the class, which
    every connection shares until it changes them. With it an idle subscriber takes 3 KB, not 11.
    """
    first = WebSocketServerProtocol()
    first.factory = factory
    first._connectionMade()
    shared = {
        name: staticmethod(value) if callable(value) else value
        for name, value in vars(first).items()
    }
    # What the frames of one connection change must not be seen by another.
    shared |= {name: _Unheard() for name in ("is_open", "is_closed")}
    shared |= {"CONFIG_ATTRS": (), "send_queue": (), "utf8validator": None}
    shared |= {"current_frame": None, "inside_message": False, "websocket_version": 13}
    shared |= {"max_handshake_size": max_handshake_size}
    return type(protocol.__name__, (protocol,), shared)


class _Unheard:
    """Stands for a Deferred for which nobody waits."""

    def callback(self, result: object) -> None:
        """Called by Autobahn when the connection is open, or closed."""
