"""Clients that others wrote: each follows a channel, and returns the messages that came.

Each leaves after a number of messages, or stays to the end. The messages are parsed. A WebSocket
client adds ``{"closed": CODE}`` for the close frame.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import httpx
import httpx_sse
import websocket
from twisted.trial.unittest import SkipTest

from tests.integration.support import PATIENCE, ROOT, Monitor

CURL, NODE = shutil.which("curl"), shutil.which("node")
SCRIPT = Path(__file__).with_name("follow.mjs")
FOREVER = 10**9
"""A number of messages that no channel has."""


class Follow(Protocol):
    """A way to follow channels."""

    def __call__(
        self, monitor: Monitor, channel: str, after: str = "", count: int = FOREVER
    ) -> list[Any]:
        """Follow a channel.

        Args:
            monitor: whose channel.
            channel: the channel's id.
            after: the id of the last message that the client has; empty to begin.
            count: after how many messages to leave.
        """


def by_websocket_client(
    monitor: Monitor, channel: str, after: str = "", count: int = FOREVER
) -> list[Any]:
    """Follow by websocket-client."""
    client = websocket.create_connection(
        f"{monitor.url}?{urlencode({'after': after})}", timeout=PATIENCE
    )
    client.send(channel)
    found: list[Any] = []
    while len(found) < count:
        opcode, data = client.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return [*found, {"closed": int.from_bytes(data[:2], "big")}]
        found.append(json.loads(data))
    client.close()
    return found


def by_aiohttp(monitor: Monitor, channel: str, after: str = "", count: int = FOREVER) -> list[Any]:
    """Follow by aiohttp, which offers compression."""

    async def follow() -> list[Any]:
        query = urlencode({"after": after})
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{monitor.url}?{query}", compress=15) as client,
        ):
            await client.send_str(channel)
            found: list[Any] = []
            async for message in client:
                found.append(message.json())
                if len(found) == count:
                    return found
            return [*found, {"closed": client.close_code}]

    return asyncio.run(asyncio.wait_for(follow(), PATIENCE))


def by_httpx_sse(
    monitor: Monitor, channel: str, after: str = "", count: int = FOREVER
) -> list[Any]:
    """Follow by httpx-sse."""
    headers = {"Last-Event-ID": after} if after else {}
    with (
        httpx.Client(timeout=PATIENCE, trust_env=False) as client,
        httpx_sse.connect_sse(client, "GET", events(monitor, channel), headers=headers) as source,
    ):
        # It hands over the block with `retry` as an event, though without data there is none.
        came = (identified(one.data, one.id) for one in source.iter_sse() if one.data)
        return list(islice(came, count))


def by_curl(monitor: Monitor, channel: str, after: str = "", count: int = FOREVER) -> list[Any]:
    """Follow by curl, which prints the event stream as it comes."""
    if not CURL:
        raise SkipTest("curl is not installed")
    command = [
        CURL,
        "--no-buffer",
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        str(PATIENCE),
    ]
    command += ["--noproxy", "*", "--header", f"Last-Event-ID: {after}", events(monitor, channel)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = list(islice(parsed(process.stdout), count))
        if count != FOREVER:
            process.kill()
    assert count != FOREVER or process.returncode == 0, f"curl ended with {process.returncode}"
    return found


def parsed(lines: Iterable[str]) -> Iterator[Any]:
    """The events of a stream's lines."""
    last = ""
    for line in lines:
        name, _, value = line.rstrip("\n").partition(": ")
        if name == "id":
            last = value
        elif name == "data":
            yield identified(value, last)


def identified(data: str, last: str) -> Any:
    """An event's message with its id, as a WebSocket client gets it.

    The last id counts for the events without one, too: those that the monitor adds itself.
    """
    message = json.loads(data)
    return message if message["command"] in ("SUBSCRIBED", "END") else message | {"id": last}


def events(monitor: Monitor, channel: str) -> str:
    """The address of a channel's event stream."""
    return f"{base(monitor)}/events/{quote(channel, safe='')}"


def base(monitor: Monitor) -> str:
    """The address of the public port."""
    host, port = monitor.address
    return f"http://{host}:{port}"


def by_node(way: str) -> Follow:
    """Follow by one of the ways of ``follow.mjs``."""

    def follow(monitor: Monitor, channel: str, after: str = "", count: int = FOREVER) -> list[Any]:
        needs_node()
        number = "Infinity" if count == FOREVER else str(count)
        command = [str(NODE), str(SCRIPT), way, base(monitor), channel, after, number]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return follow


def needs_node() -> None:
    """Skip a test where Node.js or its packages are missing."""
    if not NODE:
        raise SkipTest("Node.js is not installed")
    if not (ROOT / "tests" / "node_modules").is_dir():
        raise SkipTest("no packages of Node.js: run `make node`")
