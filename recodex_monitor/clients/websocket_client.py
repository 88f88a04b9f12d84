"""What all clients at the other end of a WebSocket connection share."""

from typing import TYPE_CHECKING, ClassVar

from recodex_monitor.channels.frames import text_frame
from recodex_monitor.clients.close_codes import INTERNAL_ERROR, Ending
from recodex_monitor.clients.failing import end_early

if TYPE_CHECKING:
    from recodex_monitor.clients.websocket import SubscriberProtocol

LONG_REPLAY = 64 * 1024
"""Bytes of a replay that may delay the answer to a ping: the client has to read them first."""


class PingedClient:
    """A client that has to show signs of life.

    It has slots, because there is one for every idle client.

    Attributes:
        connection: carries the frames.
        address: of the client.
        is_paused: the connection takes nothing more for now.
    """

    __slots__ = ("_position_when_heard", "_taken_when_pinged", "address", "connection", "is_paused")

    def __init__(self, connection: "SubscriberProtocol", address: str) -> None:
        """Begin without a channel.

        Args:
            connection: carries the frames.
            address: of the client.
        """
        self.connection = connection
        self.address = address
        self.is_paused = False
        self._position_when_heard = 0
        self._taken_when_pinged = 0

    @property
    def position(self) -> int:
        """Bytes of logs that were written to the connection; it may begin anywhere."""
        raise NotImplementedError

    def ping(self) -> None:
        """Ask the client for a sign of life; see keepalive.Peer."""
        self._taken_when_pinged = self.position - self.connection.transport.unsent()
        self.connection.sendPing()

    def is_alive(self) -> bool:
        """Whether the client reads, though it has not answered a ping; see keepalive.Peer.

        Its kernel takes bytes, or has taken a long replay that stands before the ping.
        """
        unsent: int = self.connection.transport.unsent()
        if self.position - unsent > self._taken_when_pinged:
            return True
        return not unsent and self.position - self._position_when_heard > LONG_REPLAY


class WebSocketClient(PingedClient):
    """A client after its handshake; a ``keepalive.Peer``.

    Attributes:
        kind: see channel.Client.
        is_plain_page: it is a page that sends no more than an id, and may not know of close codes.
    """

    __slots__ = ()
    kind: ClassVar[str]
    is_plain_page: bool

    def expects_message(self) -> bool:
        """Whether another message of the client has a meaning."""
        raise NotImplementedError

    def frame_begun(self, length: int) -> None:
        """Count a data frame of the client, which has so many bytes; too many close it."""
        raise NotImplementedError

    def received(self, payload: bytes, is_binary: bool) -> None:
        """Do what the client's message asks for, if it is understood."""
        raise NotImplementedError

    def unsubscribe(self) -> None:
        """Stop following, because nothing more may be written."""
        raise NotImplementedError

    def use_token(self, text: str) -> None:
        """Follow with the token with which the client has connected, empty for none."""
        raise NotImplementedError

    def leave(self) -> None:
        """Close the connection, after all messages so far, because the monitor stops."""
        raise NotImplementedError

    def closed(self, ended: Ending) -> None:
        """Count and log that the connection has ended."""
        raise NotImplementedError

    def tell(self, text: bytes) -> None:
        """Send a message of the monitor itself; only clients that know ids understand those."""
        self.connection.transport.write(text_frame(text))
        self.sent()

    def sent(self) -> None:
        """Put off the next heartbeat: something was sent to a client that expects some."""
        self.connection.factory.keepalive.sent(self)

    def heartbeat(self) -> None:
        """Show the client that the connection is alive; see keepalive.Peer."""
        if self.is_paused:
            self.sent()
        else:
            self.tell(self.connection.factory.announcements.ping())

    def abandon(self) -> None:
        """Close the connection after an internal error; see Recipient."""
        end_early(self.connection, INTERNAL_ERROR, b"internal error")

    def heard(self) -> None:
        """Note that the client has sent something, and that its connection is open."""
        self.connection.factory.keepalive.heard(self)
        self._position_when_heard = self.position

    def finishing(self) -> None:
        """Bound the time in which the client reads the rest; see Recipient."""
        self.connection.factory.keepalive.finishing(self)

    def cut(self) -> None:
        """End the connection at once."""
        self.connection.cut()
