"""Followers of many channels: resuming clients, one a channel, or clients of many jobs."""

import contextlib
import json
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence

from .contestants import ContestantFailed

TIMEOUT = 60.0
_HANDSHAKE = (
    "GET /ws?{query} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_MESSAGE = b'"id": "'  # once in each of the broker's messages, and in no other


def channel_id(number: int) -> str:
    """Return the id that the load generator gives to a channel."""
    mixed = number * 2654435761 % 2**32
    return f"student_{mixed:08x}-0000-4000-8000-0000{number:08x}"


class Followers:
    """Clients whose messages are counted by a thread."""

    def __init__(self) -> None:
        self._received = 0
        self._sockets: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._tails: dict[socket.socket, bytes] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._over = False

    def open(self, port: int, query: str, texts: Sequence[str]) -> None:
        """Connect a client, and let it send these texts."""
        client = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        client.sendall(_HANDSHAKE.format(query=query).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += client.recv(4096)
        client.sendall(b"".join(_frame(text.encode()) for text in texts))
        client.setblocking(False)
        self._sockets.append(client)
        self._tails[client] = b""
        self._selector.register(client, selectors.EVENT_READ)

    def start(self) -> None:
        """Begin to read; all clients are open."""
        self._reader.start()

    def wait(self, messages: int) -> None:
        """Wait until so many messages have come in all.

        Raises:
            ContestantFailed: they do not come.
        """
        end = time.monotonic() + TIMEOUT
        while self._received < messages:
            if time.monotonic() > end:
                raise ContestantFailed(f"{self._received} of {messages} messages came")
            time.sleep(0.01)

    def close(self) -> None:
        """Drop all clients."""
        self._over = True
        self._reader.join()
        for client in self._sockets:
            client.close()
        self._selector.close()

    def _read(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.1):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                data = self._tails[client] + client.recv(65536)
                self._received += data.count(_MESSAGE)
                # Part of what is looked for may come with the next packet.
                self._tails[client] = data[-len(_MESSAGE) + 1 :]


def _frame(payload: bytes) -> bytes:
    length = len(payload)
    head = struct.pack("!BB", 0x81, 0x80 | length) if length < 126 else b""
    head = head or struct.pack("!BBH", 0x81, 0x80 | 126, length)
    return head + bytes(4) + payload  # A mask of zeros changes nothing.


@contextlib.contextmanager
def following(port: int, channels: range, clients: int) -> Iterator[Followers]:
    """Follow channels during the block.

    Args:
        port: of the contestant.
        channels: their numbers.
        clients: how many clients of many jobs follow them; 0 for a resuming client each.
    """
    followers = Followers()
    ids = list(map(channel_id, channels))
    if clients:
        for number in range(clients):
            texts = [json.dumps({"follow": each}) for each in ids[number::clients]]
            followers.open(port, "jobs", texts)
    else:
        for each in ids:
            followers.open(port, "after=", [each])
    followers.start()
    try:
        yield followers
    finally:
        followers.close()
