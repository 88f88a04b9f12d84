"""Stand-ins with the interface of the real thing, and a browser's side of a WebSocket in memory."""

import struct
from typing import Any

from twisted.internet import task
from twisted.test import iosim

from recodex_monitor.config import Limits
from recodex_monitor.hub import Hub
from recodex_monitor.messages import Message, parse
from recodex_monitor.websocket import SubscriberFactory

HANDSHAKE = (
    b"GET /ws?x=1 HTTP/1.1\r\nHost: monitor.example\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def message(channel_id: str, *frames: str) -> Message:
    """A message as the broker's frames make it."""
    return parse([frame.encode() for frame in (channel_id, *frames)])


def frame(opcode: int, payload: bytes = b"", mask: bytes | None = b"abcd") -> bytes:
    """A WebSocket frame as a browser sends it: whole and masked."""
    masked = 0x80 if mask is not None else 0
    head = struct.pack("!B", 0x80 | opcode)
    if len(payload) < 126:
        head += struct.pack("!B", masked | len(payload))
    else:
        head += struct.pack("!BH", masked | 126, len(payload))
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """What a browser reads: opcode and payload of each unmasked frame; fails on half a frame."""
    found = []
    while data:
        length, start = data[1], 2
        if length == 126:
            length, start = struct.unpack("!H", data[2:4])[0], 4
        elif length == 127:
            length, start = struct.unpack("!Q", data[2:10])[0], 10
        assert len(data) >= start + length, "half a frame"
        found.append((data[0] & 15, data[start : start + length]))
        data = data[start + length :]
    return found


class Transport(iosim.FakeTransport):
    """A transport in memory.

    Attributes:
        unacknowledged: bytes that the peer is behind.
        full: each write makes the producer pause.
        broken: the next write raises.
        aborted: the protocol has cut the connection.
    """

    unacknowledged = 0
    full = False
    broken = False
    aborted = False

    def write(self, data: bytes) -> None:
        """Called by the protocol."""
        if self.broken:
            self.broken = False
            raise RuntimeError("a bug")
        super().write(data)
        if self.full and self.producer is not None:
            self.producer.pauseProducing()

    def send(self, data: bytes) -> int:
        """What EagerServer.send is."""
        if self.full:
            return 0
        self.write(data)
        return len(data)

    def unsent(self) -> int:
        """What EagerServer.unsent tells."""
        return self.unacknowledged

    def abortConnection(self) -> None:
        """Called by the protocol."""
        self.aborted = True
        super().abortConnection()


class Browser:
    """A client in memory: what it sends goes to a real SubscriberProtocol at once."""

    def __init__(self, factory: SubscriberFactory) -> None:
        server = factory.buildProtocol(None)
        assert server is not None
        self.server = server
        self.transport = Transport(self.server, isServer=True)
        self.server.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Let the server receive bytes."""
        self.server.dataReceived(data)

    def take(self) -> bytes:
        """All bytes that the server has written since the last call."""
        taken = b"".join(self.transport.stream)
        self.transport.stream.clear()
        return taken

    def open(self) -> None:
        """Do the handshake."""
        self.send(HANDSHAKE)
        assert self.take().startswith(b"HTTP/1.1 101 ")

    def follow(self, channel_id: str) -> None:
        """Do the handshake and send the channel's id."""
        self.open()
        self.send(frame(TEXT, channel_id.encode()))

    def received(self) -> list[tuple[int, bytes]]:
        """The frames since the last call."""
        return frames(self.take())

    def texts(self) -> list[str]:
        """The text messages since the last call, when there was nothing else."""
        received = self.received()
        assert all(opcode == TEXT for opcode, _ in received), received
        return [payload.decode() for _, payload in received]

    def close_code(self) -> int:
        """The code of the close frame, when that is all there is."""
        ((opcode, payload),) = self.received()
        assert opcode == CLOSE
        code: int = struct.unpack("!H", payload[:2])[0]
        return code

    def lose(self) -> None:
        """Cut the connection."""
        self.transport.reportDisconnect()

    @property
    def ended(self) -> str | None:
        """How the server ended the TCP connection: "closed", "aborted", or not."""
        if self.transport.aborted:
            return "aborted"
        return "closed" if self.transport.disconnecting else None


def service(**limits: Any) -> tuple[task.Clock, Hub, SubscriberFactory]:
    """A hub and its browsers' side on one clock, with these limits of clients."""
    clock = task.Clock()
    hub = Hub(clock)
    return clock, hub, SubscriberFactory(hub, Limits(**limits), clock)
