"""Autobahn's server protocol with less memory and less work for a connection.

Handshakes and small frames are handled without Autobahn, and connections share the attributes that
are the same for all. All other frames are left to Autobahn's own code, which knows what is wrong
with them.
"""

from typing import Any, TypeVar

import txaio
from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.utf8validator import Utf8Validator

from recodex_monitor.channels.frames import TEXT
from recodex_monitor.clients.admission import Refused
from recodex_monitor.clients.close_codes import NORMAL
from recodex_monitor.clients.fast_path import (
    CLOSE,
    NORMAL_CLOSE,
    PONG,
    is_utf8,
    lone_frame,
    ordinary_handshake,
)
from recodex_monitor.clients.handshake import Handshake
from recodex_monitor.clients.refusals import whole_answer

_KEPT = ("connected", "transport", "state")


class BaseProtocol(WebSocketServerProtocol):  # type: ignore[misc]
    """A WebSocket connection; a subclass says who may connect and what messages mean.

    Its factory has a method ``detect``, which takes over the connection, with its first data, if
    that is no ordinary handshake.

    Attributes:
        kept: names of a subclass's attributes that a connection needs between two messages.
        max_handshake_size: bytes of a request's head, at most.
    """

    factory: Any
    kept: tuple[str, ...] = ()
    max_handshake_size: int
    utf8validator: Utf8Validator | None

    # Our own log lines say what clients do wrong; Autobahn's quote clients at any length.
    log = txaio.make_logger(level="error")

    def __init__(self) -> None:
        """Begin without attributes; see share_attributes."""

    def admit(self, handshake: Handshake) -> None:
        """Called with what a handshake says.

        Raises:
            Refused: the client may not connect.
        """
        raise NotImplementedError

    def expects_message(self) -> bool:
        """Whether another message has a meaning."""
        raise NotImplementedError

    def frame_begun(self, length: int) -> None:
        """Called with the length of each data frame, before its message is complete."""
        raise NotImplementedError

    def connectionMade(self) -> None:
        """Called by Twisted when a client has connected.

        Autobahn's own would collect details of the connection that nobody uses.
        """

    def connectionLost(self, reason: Any = None) -> None:
        """Called by Twisted when the connection has ended, however."""
        self._connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what the client has sent."""
        if self.state == self.STATE_CONNECTING:
            handshake, length = ordinary_handshake(data) or (None, 0)
            if handshake is not None and length <= self.max_handshake_size:
                self.accept(handshake)
                if len(data) > length:
                    self._dataReceived(data[length:])
            else:
                self.factory.detect(self, data)
        elif not self._lone_frame_received(data):
            self._dataReceived(data)
            if self.state == self.STATE_OPEN:
                self._shed()

    def _lone_frame_received(self, data: bytes) -> bool:
        """Handle a packet that is one frame with a channel id, a pong or a close; else False.

        Nearly all packets of clients are such. Autobahn needs 60 us for one, which would be a third
        of a client's whole cost.
        """
        if self.data or self.current_frame is not None or self.inside_message:
            return False
        first, payload = lone_frame(data) or (0, b"")
        if first == TEXT and self.expects_message() and self.state == self.STATE_OPEN:
            if not is_utf8(payload):
                return False
            self.frame_begun(len(payload))
            self.onMessage(payload, False)
            return True
        if first == CLOSE and payload == NORMAL_CLOSE and self.state == self.STATE_CLOSING:
            self.wasClean = True
            self.remoteCloseCode = NORMAL
            self.dropConnection()
            return True
        return first == PONG

    def accept(self, handshake: Handshake) -> None:
        """Open the connection, as Autobahn does after a handshake of its own, or refuse it."""
        try:
            self.admit(handshake)
        except Refused as refused:
            self.refuse(refused)
            return
        self.transport.write(handshake.answer)
        self.state = self.STATE_OPEN
        self.onOpen()

    def refuse(self, refused: Refused) -> None:
        """Answer a handshake with an error, and close the connection."""
        self.transport.write(whole_answer(refused))
        self.dropConnection()

    def _shed(self) -> None:
        """Drop the attributes that Autobahn leaves after a message: some 8 KB."""
        if self.current_frame is None and not self.data and not self.inside_message:
            own = vars(self)
            self.__dict__ = {name: own[name] for name in (*_KEPT, *self.kept) if name in own}

    def onFrameBegin(self) -> None:
        """Called by Autobahn with each frame; makes the validator that it expects then."""
        if self.utf8validator is None:
            self.utf8validator = Utf8Validator()
        super().onFrameBegin()

    def dropConnection(self, abort: bool = False) -> None:
        """Called by Autobahn to end the TCP connection.

        After both close frames it would send a reset, which browsers report as an unclean end.
        """
        super().dropConnection(abort and not self.wasClean)


_P = TypeVar("_P", bound=BaseProtocol)


def share_attributes(protocol: type[_P], factory: Any, max_handshake_size: int) -> type[_P]:
    """Make a subclass whose connections share the attributes with which they begin.

    Autobahn sets some sixty attributes on each connection: its options, which it also formats for
    a debug line at any log level, and its state. Here they are attributes of the class, which a
    connection shares until it changes them. An idle subscriber so takes 3 KB instead of 11.
    """
    first = WebSocketServerProtocol()
    first.factory = factory
    first._connectionMade()
    shared = {
        name: staticmethod(value) if callable(value) else value
        for name, value in vars(first).items()
    }
    # A connection would change these in place, and others would see it.
    shared |= {name: _NoDeferred() for name in ("is_open", "is_closed")}
    shared |= {"CONFIG_ATTRS": (), "send_queue": (), "utf8validator": None}
    shared |= {"current_frame": None, "inside_message": False, "websocket_version": 13}
    shared |= {"max_handshake_size": max_handshake_size}
    return type(protocol.__name__, (protocol,), shared)


class _NoDeferred:
    """Stands in for a Deferred that nobody waits for."""

    def callback(self, result: object) -> None:
        """Called by Autobahn when the connection is open, or closed."""
