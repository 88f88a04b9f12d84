"""Clients that connect to a monitor through a proxy."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.integration.proxies import Proxy

CUT = (OSError, EOFError, WebSocketException)
"""What a client gets for a connection that was cut or refused."""

CONNECTING: dict[str, Any] = {"compression": None, "ping_interval": None, "proxy": None}
"""Options of a client that sends no pings, for a server on this machine."""


def socket_through(proxy: Proxy, after: str = "", **options: Any) -> connect:
    """A WebSocket that resumes, not yet opened."""
    url = f"wss://localhost:{proxy.port}/ws?after={after}"
    return connect(url, ssl=proxy.tls, host="127.0.0.1", **CONNECTING, **options)


class NotOk(Exception):
    """An answer with a status other than 200."""


async def lines(
    proxy: Proxy, path: str, headers: tuple[str, ...] = (), peer: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """The lines of an answer, as they arrive.

    Raises:
        OSError, EOFError: the connection was cut.
        NotOk: the request was refused.
    """
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.port, ssl=proxy.tls, server_hostname="localhost", local_addr=(peer, 0)
    )
    try:
        request = (f"GET /ws{path} HTTP/1.1", "Host: localhost", "Connection: close", *headers)
        writer.write("\r\n".join((*request, "", "")).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if int(head.split()[1]) != 200:
            raise NotOk(head.split()[1].decode())
        rest = b""
        async for data in _body(reader, b"chunked" in head.lower()):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line.decode()
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, is_chunked: bool) -> AsyncIterator[bytes]:
    if not is_chunked:
        while data := await reader.read(65536):
            yield data
        return
    while size := int(await reader.readuntil(b"\n"), 16):
        yield await reader.readexactly(size)
        await reader.readuntil(b"\n")


class Follower:
    """A client that follows a channel through a proxy, and resumes whenever it is disconnected.

    Attributes:
        got: the messages, without ids.
        connected: how often it got SUBSCRIBED.
        end: why the channel ended; None before.
    """

    def __init__(self, proxy: Proxy, channel: str) -> None:
        self._proxy = proxy
        self._channel = channel
        self._after = ""
        self.got: list[dict[str, str]] = []
        self.connected = 0
        self.end: str | None = None

    async def by_socket(self) -> None:
        """Follow by WebSocket until the channel ends."""
        while self.end is None:
            with suppress(*CUT):
                async with socket_through(self._proxy, self._after) as client:
                    await client.send(self._channel)
                    async for text in client:
                        self._take(json.loads(text))

    async def by_events(self) -> None:
        """Follow by server-sent events until the channel ends."""
        while self.end is None:
            with suppress(*CUT):
                path = f"/events/{self._channel}?after={self._after}"
                async for line in lines(self._proxy, path):
                    field, _, value = line.partition(": ")
                    if field == "id":
                        self._after = value
                    elif field == "data":
                        self._take(json.loads(value))

    async def by_polls(self) -> None:
        """Follow by long polls until the channel ends."""
        while self.end is None:
            with suppress(*CUT):
                path = f"/channels/{self._channel}?wait=25&after={self._after}"
                answer = json.loads("".join([line async for line in lines(self._proxy, path)]))
                self.connected += 1
                for message in answer["messages"]:
                    self._take(message)
                self.end = answer["end"]

    def _take(self, message: dict[str, str]) -> None:
        self._after = message.pop("id", self._after)
        match message["command"]:
            case "SUBSCRIBED":
                assert message["recovered"] or not self.got, "it could not resume"
                self.connected += 1
            case "END":
                self.end = message["reason"]
            case "PING":
                pass
            case _:
                self.got.append(message)
