"""The public port: its socket's options, and connections that write at once."""

import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import UNIXAddress
from twisted.logger import Logger

_log = Logger()

NOT_SENT = 128 * 1024
"""Bytes of a connection that the kernel holds unsent; a reader that stalls costs no more."""

_TCP_NOTSENT_LOWAT = 25
"""Linux's number of the option, which Python's socket module has from 3.12 on only."""


class EagerServer(tcp.Server):
    """A connection that tries to send at once instead of waiting to be told that it can.

    Waiting costs two system calls more a message; most are taken by the kernel at once.
    """

    bufferSize = 2048
    """Bytes of a read: a client's head, or as many pings as may be answered in one turn."""

    def _isSendBufferFull(self) -> bool:
        # A producer waits as soon as the kernel has not taken all, so that no buffer grows here.
        return bool(self.dataBuffer or self._tempDataBuffer)

    def write(self, data: bytes) -> None:
        """Send, and leave to the reactor what the kernel does not take."""
        waits = self.dataBuffer or self._tempDataBuffer or self.TLS
        if not waits and self.connected and not self.disconnecting and not self._aborting:
            try:
                sent = self.socket.send(data)
            except OSError:
                sent = 0  # It waits, or the reactor finds what is wrong with the connection.
            if sent == len(data):
                return
            data = data[sent:]
        super().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send what comes in pieces; twisted.web writes so."""
        self.write(b"".join(iovec))

    @property
    def send(self) -> Callable[[bytes], int]:
        """What passes bytes to the kernel at once and returns how many it took, or raises OSError.

        For a writer that knows that nothing waits here, and writes what was not taken.
        """
        return self.socket.send

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Called by a protocol; its producer waits for what was written before it."""
        super().registerProducer(producer, streaming)
        self._maybePauseProducer()

    def unsent(self) -> int:
        """Bytes that are written here and of which the reader's kernel has not told that it got."""
        here = len(self.dataBuffer) - self.offset + self._tempDataLen
        return here + _unacknowledged(self.socket)


class EagerPort(tcp.Port):
    """A listening port whose connections write eagerly and hold little for a slow reader."""

    transport: type[EagerServer] = EagerServer
    stall_timeout = 60.0
    """Seconds after which the kernel gives up a reader that takes nothing of what is due."""

    def createInternetSocket(self) -> socket.socket:
        """Make the socket; connections inherit its options."""
        made: socket.socket = super().createInternetSocket()
        self.set_options(made)
        return made

    def take_over(self, inherited: socket.socket) -> None:
        """Listen on a socket that somebody else has opened, and leaves open when this port stops.

        Who connects in between waits in its backlog.
        """
        inherited.setblocking(False)
        inherited.listen(self.backlog)
        self.set_options(inherited)
        # What reactor.adoptStreamPort does, but for a port of this class.
        self._preexistingSocket = inherited
        self.startListening()

    def set_options(self, listening: socket.socket) -> None:
        """Set options that connections inherit."""
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stall = int(self.stall_timeout * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall)
        listening.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOT_SENT)


class LocalServer(EagerServer):
    """A connection of a Unix socket: neither end has an address."""

    def __init__(self, sock: Any, protocol: Any, client: Any, *others: Any) -> None:
        super().__init__(sock, protocol, ("", 0), *others)

    def getPeer(self) -> UNIXAddress:
        """Called to learn who is at the other end."""
        return UNIXAddress(None)

    getHost = getPeer


class _Named(socket.socket):
    """A Unix socket whose name has the two parts that Twisted takes for host and port."""

    def getsockname(self) -> tuple[str, str]:
        return "", super().getsockname()


class LocalPort(EagerPort):
    """A listening Unix socket, which always is one to take over."""

    transport = LocalServer

    def take_over(self, inherited: socket.socket) -> None:
        """Listen on a socket that is bound."""
        super().take_over(_Named(fileno=inherited.detach()))

    def _buildAddr(self, address: Any) -> UNIXAddress:
        return UNIXAddress(None)

    def set_options(self, listening: socket.socket) -> None:
        """All are TCP's."""


def _unacknowledged(connected: socket.socket) -> int:
    answer = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("i", answer)[0])
