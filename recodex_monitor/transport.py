"""The public port: its socket's options, and connections that write at once."""

import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer, tcp
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory

from recodex_monitor.addresses import resolve
from recodex_monitor.config import Address, Limits

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

    @property
    def send(self) -> Callable[[bytes], int]:
        """What passes bytes to the kernel at once and returns how many it took, or raises OSError.

        For a writer that knows that nothing waits here, and writes what was not taken.
        """
        return self.socket.send

    def unsent(self) -> int:
        """Bytes that are written here and of which the reader's kernel has not told that it got."""
        here = len(self.dataBuffer) - self.offset + self._tempDataLen
        return here + _unacknowledged(self.socket)


class EagerPort(tcp.Port):
    """A listening port whose connections write eagerly and hold little for a slow reader."""

    transport = EagerServer
    stall_timeout = 60.0
    """Seconds after which the kernel gives up a reader that takes nothing of what is due."""

    def createInternetSocket(self) -> socket.socket:
        """Make the socket; connections inherit its options."""
        made: socket.socket = super().createInternetSocket()
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stall = int(self.stall_timeout * 1000)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall)
        made.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOT_SENT)
        return made


class PublicPort(Service):
    """Listens for browsers while it runs."""

    def __init__(
        self, address: Address, limits: Limits, factory: IProtocolFactory, reactor: Any
    ) -> None:
        """Make a service that is not listening yet."""
        self._address = address
        self._limits = limits
        self._factory = factory
        self._reactor = reactor
        self._ports: list[EagerPort] = []
        self.addresses: list[Address] = []

    def startService(self) -> None:
        """Listen, on all addresses of a name at the same port.

        Raises:
            OSError: an address cannot be bound, or its name is not known.
        """
        for address in resolve(self._address):
            number = address.port or (self.addresses[0].port if self.addresses else 0)
            backlog = self._limits.backlog
            port = EagerPort(number, self._factory, backlog, address.host, self._reactor)
            port.stall_timeout = self._limits.stall_timeout
            try:
                port.startListening()
            except CannotListenError as error:
                self.stopService()
                reason = error.socketError
                text = f"cannot listen for browsers on {address}: {reason.strerror}"
                raise OSError(reason.errno, text) from None
            self._ports.append(port)
            self.addresses.append(Address(address.host, port.getHost().port))
        super().startService()

    def stopService(self) -> defer.Deferred[Any]:
        """Accept no more connections; who is connected stays."""
        super().stopService()
        ports, self._ports = self._ports, []
        return defer.gatherResults([defer.maybeDeferred(port.stopListening) for port in ports])


def _unacknowledged(connected: socket.socket) -> int:
    answer = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("i", answer)[0])
