"""Connections and ports of a stream socket that send at once what the kernel takes."""

import fcntl
import socket
import struct
import termios
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import UNIXAddress

NOT_SENT = 128 * 1024
"""Unsent bytes that the kernel holds for a connection: what a stalled client costs at most."""

DISCARDED = 256 * 1024
"""Bytes of unread data that are read and discarded before a connection is closed, at most."""

_PIECE = 16 * 1024
_TCP_NOTSENT_LOWAT = 25
"""The option's number on Linux; Python's socket module has it since 3.12 only."""


class EagerServer(tcp.Server):
    """A connection that tries to send at once, before it asks the reactor to wait for the socket.

    The kernel nearly always takes a message at once. Waiting would cost two more system calls.
    """

    client_address: Any = None
    """The client's own address, if a proxy at the other end has reported it."""

    bufferSize = 2048
    """Bytes of a read: room for a request's head; bounds the pings answered at a time."""

    def _isSendBufferFull(self) -> bool:
        # Pause the producer as soon as the kernel has not taken everything: no buffer grows here.
        return bool(self.dataBuffer or self._tempDataBuffer)

    def getPeer(self) -> Any:
        """The client's address."""
        return self.client_address or super().getPeer()

    def write(self, data: bytes) -> None:
        """Send the data now, or after what is still waiting to be sent."""
        must_wait = self.dataBuffer or self._tempDataBuffer
        if must_wait or not self.connected or self.disconnecting or self._aborting:
            super().write(data)
        else:
            self.send(data)

    def send(self, data: bytes) -> None:
        """Do what ``write`` does, for a writer that knows that nothing is waiting to be sent.

        The checks are left out, which matters where a message goes to thousands of clients.
        """
        try:
            sent = self.socket.send(data)
        except OSError:
            sent = 0  # The socket is full, or the reactor will find out what is wrong with it.
        if sent != len(data):
            super().write(data[sent:])

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send data that comes in pieces; twisted.web calls it."""
        self.write(b"".join(iovec))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Register a producer, and pause it if earlier data is still waiting to be sent."""
        super().registerProducer(producer, streaming)
        self._maybePauseProducer()

    def _closeSocket(self, orderly: bool) -> None:
        # Closing a socket with unread data resets the connection, and what was written last, such
        # as the reason of a refusal, may be lost.
        if orderly:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
                for _ in range(DISCARDED // _PIECE):
                    if not self.socket.recv(_PIECE):
                        break
        super()._closeSocket(orderly)

    def unsent(self) -> int:
        """The number of written bytes that the peer's kernel has not acknowledged yet."""
        here = len(self.dataBuffer) - self.offset + self._tempDataLen
        return here + _unacknowledged(self.socket)


class EagerPort(tcp.Port):
    """A listening TCP port whose connections are ``EagerServer``."""

    transport: type[EagerServer] = EagerServer
    stall_timeout = 60.0
    """Seconds after which the kernel drops a connection whose peer accepts no more data."""

    def createInternetSocket(self) -> socket.socket:
        """Make the listening socket with the options that connections inherit."""
        made: socket.socket = super().createInternetSocket()
        if made.family == socket.AF_INET6:
            # Take IPv4 too, as the broker's port does, whatever net.ipv6.bindv6only says.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.set_options(made)
        return made

    def take_over(self, inherited: socket.socket) -> None:
        """Listen on an existing socket.

        Clients that connected before wait in its backlog. If the socket belongs to another process
        too, such as systemd, it stays open there when this port stops.
        """
        inherited.setblocking(False)
        inherited.listen(self.backlog)
        self.set_options(inherited)
        # As reactor.adoptStreamPort does, which cannot make a port of this class.
        self._preexistingSocket = inherited
        self.startListening()

    def set_options(self, listening: socket.socket) -> None:
        """Set the options that connections inherit from the listening socket."""
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stall = int(self.stall_timeout * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall)
        listening.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOT_SENT)


class LocalServer(EagerServer):
    """A connection of a Unix socket: neither end has an address."""

    def __init__(self, sock: Any, protocol: Any, client: Any, *others: Any) -> None:
        super().__init__(sock, protocol, ("", 0), *others)

    def getHost(self) -> UNIXAddress:
        """The address of this end, which has no name."""
        return UNIXAddress(None)

    def getPeer(self) -> Any:
        """The client's address; that of a Unix socket has no name."""
        return self.client_address or UNIXAddress(None)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing: this is an option of TCP's, which Twisted's HTTP sets."""


class _Named(socket.socket):
    """A Unix socket whose name has the two parts that Twisted takes for host and port."""

    def getsockname(self) -> tuple[str, str]:
        return "", super().getsockname()


class LocalPort(EagerPort):
    """A listening Unix socket; it can only take over a socket that is bound already."""

    transport = LocalServer

    def take_over(self, inherited: socket.socket) -> None:
        """Listen on a bound socket; see EagerPort."""
        super().take_over(_Named(fileno=inherited.detach()))

    def _buildAddr(self, address: Any) -> UNIXAddress:
        return UNIXAddress(None)

    def set_options(self, listening: socket.socket) -> None:
        """Do nothing: all these options are TCP's."""


def _unacknowledged(connected: socket.socket) -> int:
    answer = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("i", answer)[0])
