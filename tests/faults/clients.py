"""Raw WebSocket clients."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator

from tests.support.frames import CLOSE, HANDSHAKE, PING, PONG, TEXT, frame

Address = tuple[str, int]
_ABORT = struct.pack("ii", 1, 0)
_BIND_ADDRESS_NO_PORT = 24


def task(number: int) -> bytes:
    """The text of a message about a task."""
    return b'{"command": "TASK", "task_id": "%d", "task_state": "COMPLETED"}' % number


def command(name: str) -> bytes:
    """The text of a message that has only a command."""
    return b'{"command": "%s"}' % name.encode()


FINISHED = command("FINISHED")


class Frames:
    """Splits what a server sends into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each frame that this data completes."""
        data, start, end = self._rest + data, 0, 0
        while len(data) >= start + 2:
            length, head = data[start + 1], start + 2
            if length == 126:
                length, head = int.from_bytes(data[head : head + 2], "big"), head + 2
            elif length == 127:
                length, head = int.from_bytes(data[head : head + 8], "big"), head + 8
            end = head + length
            if len(data) < end:
                break
            yield data[start] & 15, data[head:end]
            start = end
        self._rest = data[start:]


def close_code(payload: bytes) -> int:
    """The code in a close frame; 1005 if it has none."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005


class Browser:
    """A client: what it got, and how its connection ended.

    Attributes:
        socket: its connection.
        began: the time at which it began to connect.
        status: the answer to its handshake, 0 before there is one.
        opened: the time at which the answer was complete.
        texts: the messages that it got.
        code: the code of the close frame that it got, 0 without one.
        ended: "closed" or "reset" once the TCP connection has ended.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.began = time.monotonic()
        self.status = 0
        self.opened = 0.0
        self.texts: list[bytes] = []
        self.code = 0
        self.ended = ""
        self.answers_pings = True
        self.pongs = 0
        self._head = b""
        self._frames = Frames()

    def take(self, data: bytes) -> None:
        """Process incoming data, and answer it as a browser does."""
        if not self.status:
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            head, _, data = self._head.partition(b"\r\n\r\n")
            self.status, self.opened = int(head.split()[1]), time.monotonic()
            self._head = head
        if self.status == 101:
            for opcode, payload in self._frames.feed(data):
                self._take_frame(opcode, payload)

    def _take_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self.texts.append(payload)
        elif opcode == PONG:
            self.pongs += 1
        elif opcode == PING and self.answers_pings:
            self.send(frame(PONG, payload))
        elif opcode == CLOSE and not self.code:
            self.code = close_code(payload)
            self.send(frame(CLOSE, payload[:2]))

    def send(self, data: bytes) -> None:
        """Send; the next read reports a connection that has ended."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def head(self) -> str:
        """The head of the answer to the handshake."""
        return self._head.decode("latin-1")

    def read(self, timeout: float, amount: int = 65536) -> bool:
        """Read once, within a time; returns whether data came or the connection ended."""
        self.socket.settimeout(max(0.001, timeout))
        try:
            data = self.socket.recv(amount)
        except TimeoutError:
            return False
        except OSError:
            self.ended = "reset"
            return True
        if data:
            self.take(data)
        else:
            self.ended = "closed"
        return True

    def read_until(self, holds: Callable[[], bool], seconds: float = 10) -> bool:
        """Read until a condition holds or the connection ends; returns whether it holds."""
        deadline = time.monotonic() + seconds
        while not holds() and not self.ended:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self.read(left)
        return holds()

    def read_texts(self, count: int, seconds: float = 10) -> bool:
        """Read until so many messages have come; returns whether they have."""
        return self.read_until(lambda: len(self.texts) >= count, seconds)

    def read_close(self, seconds: float = 10) -> bool:
        """Read until the close frame has come; returns whether it has."""
        return self.read_until(lambda: self.code != 0, seconds)

    def read_to_end(self, seconds: float = 10) -> None:
        """Read until the connection ends."""
        self.read_until(lambda: bool(self.ended), seconds)

    def abort(self) -> None:
        """End the connection by a reset."""
        abort(self.socket)


def abort(connected: socket.socket) -> None:
    """End a connection by a reset, which leaves nothing behind in the kernel."""
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    connected.close()


def made_socket(source: str = "", receive_buffer: int = 0) -> socket.socket:
    """A socket that is not connected.

    Args:
        source: the local address; many thousand connections need several.
        receive_buffer: bytes that the kernel buffers while nothing is read.
    """
    made = socket.socket()
    if receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        made.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        made.bind((source, 0))
    return made


def connected(address: Address, source: str = "", receive_buffer: int = 0) -> socket.socket:
    """A socket that is connected."""
    made = made_socket(source, receive_buffer)
    made.settimeout(10)
    made.connect(address)
    return made


def followed(channel_id: str) -> bytes:
    """A client's handshake and its channel's id, sent in one packet."""
    return HANDSHAKE + frame(TEXT, channel_id.encode())


@contextlib.contextmanager
def browser(address: Address, channel_id: str | None = None) -> Iterator[Browser]:
    """A client that is connected, and follows a channel if one is given."""
    client = Browser(connected(address))
    try:
        client.socket.sendall(HANDSHAKE if channel_id is None else followed(channel_id))
        client.read_until(lambda: client.status != 0)
        yield client
    finally:
        client.abort()
