"""Stand-ins with the interface of the real thing, and a browser's side in memory."""

import struct
from typing import Any, NamedTuple

from twisted.internet import task
from twisted.internet.interfaces import IPushProducer
from twisted.test import iosim
from zope.interface import implementer

from recodex_monitor.channels.hub import Bounds, Hub
from recodex_monitor.channels.message import Message, parse
from recodex_monitor.clients.detection import Front
from recodex_monitor.settings.schema import Limits

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


def request(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request as a browser sends it."""
    lines = (f"{method} {path} HTTP/{version}", "Host: monitor.example", *headers, "", "")
    return "\r\n".join(lines).encode()


class Answer(NamedTuple):
    """An HTTP answer, or what has come of it.

    Attributes:
        status: of the answer.
        headers: by lower-case name.
        body: what has come of it, out of its chunks.
        is_whole: nothing more belongs to it.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool


def answer(data: bytes) -> Answer:
    """What a browser makes of an answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert len(headers) == len(lines), "a header twice"
    status = int(first.split()[1])
    if headers.get("transfer-encoding") == "chunked":
        return Answer(status, headers, *_unchunked(body))
    is_whole = len(body) == int(headers.get("content-length", "-1")) or status in (204, 304)
    return Answer(status, headers, body, is_whole)


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    content = b""
    while data:
        length, _, data = data.partition(b"\r\n")
        size = int(length, 16)
        content += data[:size]
        assert data[size : size + 2] == b"\r\n", "half a chunk"
        data = data[size + 2 :]
        if not size:
            assert not data, "more behind the last chunk"
            return content, True
    return content, False


@implementer(IPushProducer)
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
    """A client in memory: what it sends goes to a real connection's protocol at once."""

    def __init__(self, factory: Front) -> None:
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
        """All bytes that the server has written since the last call."""
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
        """Send a request, and take what is answered to it at once."""
        self.send(request(path, *headers, method=method, version=version))
        return answer(self.take())

    def more(self) -> tuple[bytes, bool]:
        """What has come of the body since the last call, and whether its end has."""
        return _unchunked(self.take())

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


class Side(Front):
    """The browsers' side of a monitor."""

    def sweep(self) -> None:
        """Do what is done every second."""
        for sweep in self.sweeps:
            sweep()


def service(**limits: Any) -> tuple[task.Clock, Hub, Side]:
    """A hub and its browsers' side on one clock, with these limits of clients."""
    clock = task.Clock()
    hub = Hub(clock, Bounds())
    return clock, hub, Side(hub, Limits(**limits), clock)
