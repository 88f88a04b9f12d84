"""Real monitors in processes of their own, and the broker's side of them."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
import zmq

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "recodex_monitor")
TWISTD = (str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=")
WAYS = {
    "command": (*COMMAND, "-c", "{config}"),
    "twistd": (*TWISTD, "recodex-monitor", "--config", "{config}"),
    "tac": (*TWISTD, "--python", str(ROOT / "monitor.tac")),
}
"""The ways to run a monitor; each takes its settings from the file, tac by the environment."""


_PORTS = iter(random.sample(range(10_000, 32_000), 20_000))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on and that nobody else is given.

    They lie below those that the system gives to outgoing connections: a broker that tries to
    connect again and again could take such a port for its own end, or connect to itself.
    """
    return list(itertools.islice(filter(_is_free, _PORTS), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Monitor:
    """A monitor's process, with a configuration and a log in a folder of its own."""

    def __init__(self, folder: str, way: str = "command", **settings: object) -> None:
        self.folder = Path(folder)
        self.config = self.folder / "config.yml"
        self.log = self.folder / "monitor.log"
        browsers, broker = free_ports(2)
        self.address, self.broker = ("127.0.0.1", browsers), f"tcp://127.0.0.1:{broker}"
        self.url = f"ws://127.0.0.1:{browsers}/"
        self.configure(
            websocket_uri=["127.0.0.1", browsers],
            zeromq_uri=["127.0.0.1", broker],
            logger={"file": str(self.log), "level": "info"},
            **settings,
        )
        self._way = way

    def configure(self, **settings: object) -> None:
        """Write the configuration file."""
        self.config.write_text(yaml.safe_dump(settings))

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process = self.launch()
        deadline = time.monotonic() + 20
        while "listens on" not in self.logged():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the monitor did not start: {self.logged()}")
            time.sleep(0.02)

    def launch(self) -> "subprocess.Popen[str]":
        """Start it, whatever comes of it."""
        # What a monitor before this one has logged must not look like this one's.
        self.log.unlink(missing_ok=True)
        return subprocess.Popen(
            [part.replace("{config}", str(self.config)) for part in WAYS[self._way]],
            cwd=self.folder,
            env={**os.environ, "RECODEX_MONITOR_CONFIG": str(self.config)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def logged(self) -> str:
        """The log so far."""
        return self.log.read_text() if self.log.exists() else ""

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        return self.process.returncode


@contextmanager
def running_monitor(way: str = "command", **settings: object) -> Iterator[Monitor]:
    """A monitor that runs meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        monitor = Monitor(folder, way, **settings)
        try:
            monitor.start()
            yield monitor
        finally:
            if hasattr(monitor, "process"):
                monitor.stop()


class Broker:
    """The broker: a ROUTER socket that connects to the monitor and addresses it by name."""

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, 5000)
        # A message to a monitor that is not connected yet fails instead of being lost.
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.connect(address)

    def send(self, *frames: bytes) -> None:
        """Send a message, as soon as the monitor is connected and takes it."""
        deadline = time.monotonic() + 10
        while True:
            try:
                self._socket.send_multipart([b"recodex-monitor", *frames])
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def send_all(self, messages: Sequence[Sequence[bytes]]) -> None:
        """Send messages."""
        for message in messages:
            self.send(*message)

    def close(self) -> None:
        """Go, once the monitor's socket has taken what was sent."""
        self._socket.close()
        self._context.term()


@contextmanager
def connected_broker(monitor: Monitor) -> Iterator[Broker]:
    """A broker that is connected meanwhile."""
    broker = Broker(monitor.broker)
    try:
        yield broker
    finally:
        broker.close()
