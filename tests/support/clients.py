"""Clients in memory, and the clients' side of a monitor for them."""

import struct
from typing import Any

from twisted.internet import task
from twisted.internet.interfaces import IPushProducer
from twisted.test import iosim
from zope.interface import implementer

from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.detection import PublicFactory
from recodex_monitor.settings.schema import Limits, LiveSettings
from tests.support.frames import CLOSE, HANDSHAKE, TEXT, frame, frames
from tests.support.http import Answer, answer, request, unchunked


@implementer(IPushProducer)
class Transport(iosim.FakeTransport):
    """A transport in memory.

    Attributes:
        unacknowledged: what ``unsent`` returns.
        full: whether each write pauses the producer.
        broken: whether the next write raises.
        aborted: whether the protocol has cut the connection.
    """

    unacknowledged = 0
    full = False
    broken = False
    aborted = False
    client_address: Any = None

    def getPeer(self) -> Any:
        """See EagerServer.getPeer."""
        return self.client_address or super().getPeer()

    def write(self, data: bytes) -> None:
        """Called by the protocol."""
        if self.broken:
            self.broken = False
            raise RuntimeError("a bug")
        super().write(data)
        if self.full and self.producer is not None:
            self.producer.pauseProducing()

    def send(self, data: bytes) -> None:
        """See EagerServer.send."""
        self.write(data)

    def unsent(self) -> int:
        """See EagerServer.unsent."""
        return self.unacknowledged

    def abortConnection(self) -> None:
        """Called by the protocol."""
        self.aborted = True
        super().abortConnection()


class Browser:
    """A client in memory: what it sends is received at once by a real protocol of the monitor."""

    def __init__(self, factory: PublicFactory) -> None:
        server = factory.buildProtocol(None)
        assert server is not None
        self.transport = Transport(server, isServer=True)
        server.makeConnection(self.transport)

    @property
    def server(self) -> Any:
        """The protocol of the server's side."""
        return self.transport.protocol

    def send(self, data: bytes) -> None:
        """Let the server receive bytes."""
        self.server.dataReceived(data)

    def take(self) -> bytes:
        """The bytes that the server has written since the last call."""
        taken = b"".join(self.transport.stream)
        self.transport.stream.clear()
        return taken

    def open(self, query: str = "x=1") -> None:
        """Do the handshake."""
        self.send(HANDSHAKE.replace(b"x=1", query.encode()))
        assert self.take().startswith(b"HTTP/1.1 101 ")

    def follow(self, channel_id: str, query: str = "x=1") -> None:
        """Do the handshake and send the channel's id."""
        self.open(query)
        self.send(frame(TEXT, channel_id.encode()))

    def get(self, path: str, *headers: str, method: str = "GET", version: str = "1.1") -> Answer:
        """Send a request; returns what is answered at once."""
        self.send(request(path, *headers, method=method, version=version))
        return answer(self.take())

    def more(self) -> tuple[bytes, bool]:
        """The part of the body since the last call, and whether its end has come."""
        return unchunked(self.take())

    def received(self) -> list[tuple[int, bytes]]:
        """The frames since the last call."""
        return frames(self.take())

    def texts(self) -> list[str]:
        """The text messages since the last call; nothing else may have come."""
        received = self.received()
        assert all(opcode == TEXT for opcode, _ in received), received
        return [payload.decode() for _, payload in received]

    def close_code(self) -> int:
        """The code of the close frame since the last call; nothing else may have come."""
        ((opcode, payload),) = self.received()
        assert opcode == CLOSE
        code: int = struct.unpack("!H", payload[:2])[0]
        return code

    def lose(self) -> None:
        """Cut the connection."""
        self.transport.reportDisconnect()

    @property
    def ended(self) -> str | None:
        """How the server ended the TCP connection: "closed" or "aborted"; None if it is open."""
        if self.transport.aborted:
            return "aborted"
        return "closed" if self.transport.disconnecting else None

    def pause(self) -> None:
        """Take no more: the transport pauses the server's producer."""
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()

    def resume(self) -> None:
        """Take everything that was written: the transport resumes a producer that still exists."""
        if self.transport.producer is not None:
            self.transport.producer.resumeProducing()


class Service(PublicFactory):
    """The clients' side of a monitor."""

    def sweep(self) -> None:
        """Do what a monitor does every second."""
        for sweep in self.sweeps:
            sweep()


def service(**limits: Any) -> tuple[task.Clock, Hub, Service]:
    """A clock, a hub, and the clients' side of a monitor with these limits."""
    clock = task.Clock()
    settings = LiveSettings(limits=Limits(**limits))
    hub = Hub(clock, settings)
    return clock, hub, Service(hub, settings, clock, lambda: True)
