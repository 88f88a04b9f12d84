"""A monitor that runs as a child process on this machine, with its files in a folder of its own."""

import asyncio
import json
import os
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from recodex_monitor.settings import environment
from recodex_monitor.tools.command import own_command
from recodex_monitor.tools.terminal import printable

HOST = "127.0.0.1"
WEBSOCKET_PORT = 4567
ZMQ_PORT = 7894
_STATUS_PORT = 4568
_START_TIMEOUT = 20.0
# The monitor itself needs 10 s at most to stop.
_STOP_TIMEOUT = 15.0
_TAIL = 20


class MonitorError(Exception):
    """Why the monitor cannot be used, as a text for people."""


@dataclass(frozen=True)
class LocalMonitor:
    """The ports and the files of a monitor.

    Attributes:
        folder: has its files.
        websocket_port: where it listens for browsers.
        zmq_port: where it listens for the broker.
        status_port: where its status page is.
    """

    folder: Path
    websocket_port: int
    zmq_port: int
    status_port: int

    @property
    def url(self) -> str:
        """The address for browsers."""
        return f"ws://{HOST}:{self.websocket_port}/"

    @property
    def endpoint(self) -> str:
        """The address for the broker."""
        return f"tcp://{HOST}:{self.zmq_port}"

    @property
    def config(self) -> Path:
        """Its configuration file."""
        return self.folder / "config.yml"

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.folder / "monitor.log"

    @property
    def output(self) -> Path:
        """What it writes to its standard output and error."""
        return self.folder / "output"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Process]:
        """Run the monitor during the block; its process has ended when the block is left."""
        try:
            self.config.write_text(self.settings(), encoding="utf-8")
        except UnicodeEncodeError:
            folder = printable(str(self.folder))
            raise MonitorError(f"the name of the temporary folder is not UTF-8: {folder}") from None
        with self.output.open("wb") as output:
            # In its own session, so that Ctrl-C in the terminal goes to the demo only.
            process = await asyncio.create_subprocess_exec(
                *(*own_command(), "-c", str(self.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment.without_settings(os.environ),
            )
        try:
            yield process
        finally:
            await stop(process)

    def settings(self) -> str:
        """The content of its configuration file."""
        # JSON is valid YAML, and quotes any path.
        settings = {
            "websocket_uri": [HOST, self.websocket_port],
            "zeromq_uri": [HOST, self.zmq_port],
            "status_uri": [HOST, self.status_port],
            "logger": {"file": str(self.log), "level": "info"},
        }
        return json.dumps(settings, ensure_ascii=False)

    async def until_listening(self) -> None:
        """Wait until it listens on both sides.

        Raises:
            MonitorError: it does not within 20 seconds.
        """
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT
        for port in (self.websocket_port, self.zmq_port):
            while not await _accepts(port):
                if asyncio.get_running_loop().time() > deadline:
                    raise MonitorError(
                        f"the monitor does not listen on {HOST}:{port}\n{self.tail()}"
                    )
                await asyncio.sleep(0.05)

    async def until_dead(self, process: Process) -> None:
        """Wait until its process has ended, which is an error whatever the exit code.

        Raises:
            MonitorError: always.
        """
        code = await process.wait()
        raise MonitorError(f"the monitor ended with code {code}\n{self.tail()}".rstrip())

    def tail(self) -> str:
        """The last lines of its log and its output."""
        lines: list[str] = []
        for path in (self.log, self.output):
            if path.exists():
                lines += path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
        return "\n".join(printable(line) for line in lines)


def in_folder(folder: Path) -> LocalMonitor:
    """A monitor with its files in this folder, on the default ports or, if taken, on free ones."""
    return LocalMonitor(folder, *map(free_port, (WEBSOCKET_PORT, ZMQ_PORT, _STATUS_PORT)))


def free_port(port: int = 0) -> int:
    """The port if it is free, otherwise one that is."""
    with socket.socket() as probe:
        # As the monitor does: a port on which only closed connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


async def stop(process: Process) -> None:
    """End a process, and wait for that."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
