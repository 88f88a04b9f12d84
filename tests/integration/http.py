"""Requests to real monitors, over plain sockets."""

import socket

from tests.integration.support import PATIENCE
from tests.support.http import Answer, answer, request

Address = tuple[str, int]


class Client:
    """A connection to a port, with time limits."""

    def __init__(self, address: Address) -> None:
        self._socket = socket.create_connection(address, timeout=PATIENCE)
        self.came = b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def until(self, *wanted: bytes) -> bytes:
        """Everything received once one of these has come; fails if the connection ends."""
        while not any(each in self.came for each in wanted):
            data = self._socket.recv(65536)
            assert data, f"the connection ended after {self.came!r}"
            self.came += data
        return self.came

    def rest(self) -> bytes:
        """Everything up to the connection's end, which must not be a reset."""
        while data := self._socket.recv(65536):
            self.came += data
        return self.came

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def exchange(address: Address, *packets: bytes) -> bytes:
    """Send bytes; returns everything up to the connection's end."""
    client = Client(address)
    for packet in packets:
        client.send(packet)
    try:
        return client.rest()
    finally:
        client.close()


def get(address: Address, path: str, *headers: str, version: str = "1.1") -> Answer:
    """The whole answer to a GET."""
    head = request(path, "Connection: close", *headers, version=version)
    found = answer(exchange(address, head))
    assert found.is_whole or version == "1.0"
    return found
