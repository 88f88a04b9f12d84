"""Real monitors in their own processes, free ports for them, and a broker."""

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
from contextlib import contextmanager, suppress
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
"""The ways to run a monitor. Each reads the configuration file; tac finds it by a variable."""


PATIENCE = 60
"""Seconds after which a test gives up waiting for what must come.

Where all is well it comes long before, also on a machine that is slow and busy: a test fails by
what does not come, and not by the time that it takes.
"""

# Browsers connect to no port of some protocols; the highest of these is 10080.
_FIRST, _LAST, _BLOCK = 10_200, 32_000, 200


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens and which no other test gets, in any process.

    They are lower than those that the system gives to outgoing connections: a broker that
    connects again and again could get such a port for its own end, or connect to itself.
    """
    return list(itertools.islice(filter(_is_free, _PORTS), count))


def _claimed_ports() -> Iterator[int]:
    """Ports, from blocks that no other process of tests on this machine uses."""
    blocks = list(range(_FIRST, _LAST, _BLOCK))
    random.Random(os.getpid()).shuffle(blocks)
    for block in itertools.cycle(blocks):
        # Whoever has bound this abstract address owns the block; the system frees it with the
        # process. It is closed when the block is used up: by then its first tests are over.
        with socket.socket(socket.AF_UNIX) as claim, suppress(OSError):
            claim.bind(f"\0recodex-monitor-tests-{block}")
            yield from range(block, block + _BLOCK)


_PORTS = _claimed_ports()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Monitor:
    """A monitor's process, with its configuration and log in a folder.

    Attributes:
        before: a command that runs the monitor's command, if there is one.
        pidfile: twistd's option.
    """

    before: tuple[str, ...] = ()
    pidfile = "--pidfile="

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
        deadline = time.monotonic() + PATIENCE
        while "listens on" not in self.logged():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the monitor did not start: {self.logged()}")
            time.sleep(0.02)

    def launch(self, errors: int | None = None) -> "subprocess.Popen[str]":
        """Start it, without waiting for the result; ``errors`` is its standard error, if given."""
        # The log of an earlier process must not be taken for this one's.
        self.log.unlink(missing_ok=True)
        command = [part.replace("{config}", str(self.config)) for part in WAYS[self._way]]
        return subprocess.Popen(
            [*self.before, *[self.pidfile if part == "--pidfile=" else part for part in command]],
            cwd=self.folder,
            env={**os.environ, "RECODEX_MONITOR_CONFIG": str(self.config)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if errors is None else errors,
            text=True,
        )

    def logged(self) -> str:
        """The log so far."""
        return self.log.read_text() if self.log.exists() else ""

    def require_logged(self, text: str) -> None:
        """Require that the log has this text, or gets it: a thread of the monitor writes it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.logged():
            if time.monotonic() > deadline:
                raise AssertionError(f"not logged: {text!r}; but: {self.logged()}")
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        return self.process.returncode


@contextmanager
def running_monitor(way: str = "command", **settings: object) -> Iterator[Monitor]:
    """A monitor that runs during the block."""
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
        """Send a message, as soon as the monitor is connected and accepts it."""
        deadline = time.monotonic() + PATIENCE
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
        """Disconnect, once the monitor's socket has received everything that was sent."""
        self._socket.close()
        self._context.term()


@contextmanager
def connected_broker(monitor: Monitor) -> Iterator[Broker]:
    """A broker that is connected during the block."""
    broker = Broker(monitor.broker)
    try:
        yield broker
    finally:
        broker.close()
