"""The command as a process, for the tests of its tools."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import connect

import recodex_monitor
from tests.integration.support import free_ports

_ROOT = Path(recodex_monitor.__file__).parent.parent
TIMEOUT = 60
"""Seconds after which a test gives up waiting."""


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what the test waits for did not happen")
        time.sleep(0.02)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


class ToolsTestCase(SynchronousTestCase):
    """Runs the command in processes, and leaves none behind."""

    def setUp(self) -> None:
        """Make a folder for the processes' temporary files."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def start(
        self, *arguments: str, stdout: int = subprocess.PIPE, stdin: int = subprocess.DEVNULL
    ) -> "subprocess.Popen[str]":
        """Start the command; its process is killed after the test."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "TMPDIR": str(self.folder),
            "TERM": "xterm",
            "COLUMNS": "120",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "recodex_monitor", *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self.addCleanup(self._end, process)
        return process

    def _end(self, process: "subprocess.Popen[str]") -> None:
        if process.poll() is None:
            process.kill()
        process.communicate()

    def result(self, process: "subprocess.Popen[str]") -> tuple[int, str, str]:
        """Wait for the end of a process; returns its exit code, output and errors."""
        stdout, stderr = process.communicate(timeout=TIMEOUT)
        return process.returncode, stdout, stderr

    def run_tool(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command to its end."""
        return self.result(self.start(*arguments))


class MonitorTestCase(ToolsTestCase):
    """Has addresses for a monitor."""

    def setUp(self) -> None:
        """Choose the monitor's addresses."""
        super().setUp()
        self.ports = free_ports(2)
        self.url = f"ws://127.0.0.1:{self.ports[0]}/"
        self.zmq = f"tcp://127.0.0.1:{self.ports[1]}"

    def start_monitor(self) -> "subprocess.Popen[str]":
        """Start a monitor and wait until it listens."""
        settings = {
            "websocket_uri": ["127.0.0.1", self.ports[0]],
            "zeromq_uri": ["127.0.0.1", self.ports[1]],
            "logger": {"file": str(self.folder / "monitor.log"), "level": "info"},
            "channels": {"failed_grace": 1},
        }
        path = self.folder / "config.yml"
        path.write_text(json.dumps(settings), encoding="utf-8")
        monitor = self.start("-c", str(path))
        until(lambda: all(_listens(port) for port in self.ports))
        return monitor

    def simulate(self, *arguments: str) -> list[str]:
        """Send simulated jobs at full speed; returns the channel ids."""
        code, stdout, stderr = self.run_tool(
            "simulate", "--zmq", self.zmq, "--pace", "0", *arguments
        )
        self.assertEqual(code, 0, stderr)
        return stdout.splitlines()

    def texts(self, channel: str) -> list[str]:
        """All that a client receives on a channel until the monitor closes the connection."""
        with connect(self.url, proxy=None, max_size=None) as connection:
            connection.send(channel)
            return [str(text) for text in connection]
