"""Nodes of a cluster under faults, each on a machine of its own if that is asked for."""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.faults.table import Skipped
from tests.integration.cluster import Node

_numbers = itertools.count()
"""The kernel removes interfaces some time after their namespace: no name is used twice."""

NET = f"10.{os.getpid() % 200 + 20}.7"
"""Of the addresses of machines; the first is this one's."""

HERE = f"{NET}.1"
"""The address by which machines reach what runs here: the engine, clients and the broker."""


class Machine:
    """A network namespace that stands for a machine.

    Attributes:
        host: its address.
        enter: what runs a command there.
    """

    def __init__(self, number: int, bridge: str) -> None:
        self.host = f"{NET}.{number + 10}"
        self._name = _new_name("n")
        self.enter = ("ip", "netns", "exec", self._name)
        _run("ip", "netns", "add", self._name)
        near, far = _new_name("v"), _new_name("w")
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        _run("ip", "link", "set", far, "netns", self._name)
        _run("ip", "link", "set", near, "master", bridge, "up")
        for words in (
            ("addr", "add", f"{self.host}/24", "dev", far),
            ("link", "set", far, "up"),
            ("link", "set", "lo", "up"),
        ):
            _run(*self.enter, "ip", *words)

    def drop(self, chain: str, *matching: str) -> None:
        """Drop all packets that come (INPUT) or leave (OUTPUT) and match."""
        _run(*self.enter, "iptables", "-w", "-A", chain, *matching, "-j", "DROP")

    def mend(self) -> None:
        """Drop packets no more."""
        _run(*self.enter, "iptables", "-w", "-F")

    def remove(self) -> None:
        """Remove it."""
        _run("ip", "netns", "del", self._name)


def _new_name(letter: str) -> str:
    return f"h{os.getpid()}{letter}{next(_numbers)}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Machines in one network during the block."""
    if os.geteuid() or not (shutil.which("iptables") and shutil.which("ip")):
        raise Skipped("needs root, ip and iptables")
    bridge = _new_name("b")
    with contextlib.ExitStack() as stack:
        _run("ip", "link", "add", bridge, "type", "bridge")
        stack.callback(_run, "ip", "link", "del", bridge)
        _run("ip", "addr", "add", f"{HERE}/24", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        made = []
        for number in range(count):
            made.append(Machine(number, bridge))
            stack.callback(made[-1].remove)
        yield made


class Member(Node):
    """A node whose process may be replaced; its earlier logs are kept.

    Attributes:
        machine: that it runs on; None if that is this one.
        past: what its earlier processes have logged.
    """

    machine: Machine | None = None
    past = ""

    def configure(self, **settings: object) -> None:
        """Write the configuration file; the log does not rotate: all of it is looked through."""
        logger = settings["logger"]
        assert isinstance(logger, dict)
        super().configure(**{**settings, "logger": {**logger, "max-size": 2**30}})

    def move_to(self, machine: Machine) -> None:
        """Let it run on another machine, before it is started."""
        self.machine, self.before = machine, (*self.before, *machine.enter)
        settings = yaml.safe_load(self.config.read_text())
        for name in ("websocket_uri", "zeromq_uri", "status_uri"):
            settings[name][0] = machine.host
        self.configure(**settings, status_token="0123456789abcdef0123456789abcdef")
        self.address = machine.host, self.address[1]
        self.broker = self.broker.replace("127.0.0.1", machine.host)
        self.status = self.status.replace("127.0.0.1", machine.host)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return hasattr(self, "process") and self.process.poll() is None

    @property
    def listens(self) -> bool:
        """Whether it listens for the broker."""
        host, _, port = self.broker.removeprefix("tcp://").rpartition(":")
        with socket.socket() as probe:
            return not probe.connect_ex((host, int(port)))

    def end(self, number: int = signal.SIGTERM) -> None:
        """End its process by a signal."""
        self.stop(number)
        self.past += self.logged()
        Path(self.log).unlink(missing_ok=True)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, number)

    def logs(self) -> str:
        """All that it has logged."""
        return self.past + self.logged()
