"""Tests the container and compose.yml; see the docstring of ``tests.containers``."""

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect

from recodex_monitor.settings import environment
from tests.containers.podman import (
    IMAGE,
    build,
    in_namespace,
    podman,
    remove,
    services,
    start,
    succeeds,
    wait,
)
from tests.integration.support import Broker, free_ports

PREFIX = f"recodex-test-{os.getpid()}"
COMMANDS = ["STARTED", *["TASK"] * 30, "FINISHED"]


class Machine:
    """The ports of this machine where containers are reached."""

    def __init__(self) -> None:
        self.browsers, self.broker, self.prometheus = free_ports(3)
        self.ports = {4567: self.browsers, 7894: self.broker}
        self.network = ("--network", f"{PREFIX}-net")

    @contextmanager
    def sending(self) -> Iterator[Broker]:
        """A broker that is connected during the block."""
        broker = Broker(f"tcp://127.0.0.1:{self.broker}")
        try:
            yield broker
        finally:
            broker.close()

    def play(self, job: str) -> None:
        """Play a job, and follow it to its end."""
        with self.sending() as broker:
            for number, command in enumerate(COMMANDS):
                task = (b"%d" % number, b"COMPLETED") if command == "TASK" else ()
                broker.send(job.encode(), command.encode(), *task)
        self.has(job)

    def has(self, job: str) -> None:
        """A browser gets the whole job, as soon as it is let in."""
        wait("browser", lambda: self.got(job) == COMMANDS)

    def got(self, job: str) -> list[str]:
        """What a browser gets of a job; nothing if it is refused, as pages that try again are."""
        url = f"ws://127.0.0.1:{self.browsers}/"
        try:
            with connect(url, proxy=None, open_timeout=20) as client:
                client.send(job)
                return [json.loads(text)["command"] for text in client]
        except (OSError, InvalidHandshake):
            return []


def variables() -> None:
    """Every variable of compose.yml is one of a setting."""
    for name, service in services().items():
        assert not environment.unknown(service.get("environment", {})), name


def is_ready(container: str) -> bool:
    """Whether a container is healthy by the check of its image."""
    return succeeds("healthcheck", "run", container)


def single(machine: Machine) -> None:
    """A job goes through it; it is healthy, and is neither root nor can it write its disk."""
    monitor = start("monitor", PREFIX, machine.ports)
    wait("health", lambda: is_ready(monitor))
    machine.play("first")
    assert podman("exec", monitor, "id", "-u").strip() == "10001"
    assert not succeeds("exec", monitor, "touch", "/etc/x")
    assert "1 finished" in podman("exec", monitor, "recodex-monitor", "status")
    said = podman("exec", monitor, "sh", "-c", "recodex-monitor doctor --idle 0 || true")
    for check in ("settings", "status", "job", "monitor"):
        assert f"ok    {check} " in said, said
    assert "# RECODEX_MONITOR_LIMITS__TRUSTED_PROXIES" in podman(
        "exec", monitor, "recodex-monitor", "-c", "/etc/recodex/monitor/config.yml", "check"
    )


def restart(machine: Machine) -> None:
    """SIGTERM stops it within seconds, with code 0; started again it has its jobs."""
    monitor, began = f"{PREFIX}-monitor", time.monotonic()
    podman("stop", "--time", "15", monitor)
    assert time.monotonic() - began < 15, "it was killed"
    assert podman("inspect", "--format={{.State.ExitCode}}", monitor).strip() == "0"
    assert "stopped" in podman("logs", monitor)
    podman("start", monitor)
    wait("health", lambda: is_ready(monitor))
    machine.has("first")


def upgrade(machine: Machine) -> None:
    """Another container with the same volume has the jobs of the one before it."""
    podman("rm", "--force", "--time", "15", f"{PREFIX}-monitor")
    monitor = start("monitor", PREFIX, machine.ports)
    wait("health", lambda: is_ready(monitor))
    machine.has("first")
    machine.play("second")
    podman("rm", "--force", "--time", "15", monitor)


def cluster(machine: Machine) -> None:
    """A job goes through HAProxy and two nodes; another one after the owner was killed."""
    podman("network", "create", machine.network[1])
    start("valkey", PREFIX, {}, *machine.network)
    nodes = [start(name, PREFIX, {}, *machine.network) for name in ("node1", "node2")]
    for node in nodes:
        wait(f"health of {node}", lambda node=node: is_ready(node))  # type: ignore[misc]
    start("haproxy", PREFIX, machine.ports, *machine.network)
    machine.play("before")
    (owner,) = (node for node in nodes if owns(node))
    podman("kill", owner)
    machine.play("after")
    machine.has("before")


def owns(node: str) -> bool:
    """Whether a node is the owner."""
    code = "from urllib.request import urlopen; urlopen('http://127.0.0.1:4568/ownerz')"
    return succeeds("exec", node, "python3", "-c", code)


def watched(machine: Machine) -> None:
    """Prometheus scrapes the node that is left, with compose.yml's configuration."""
    prometheus = start("prometheus", PREFIX, {9090: machine.prometheus}, *machine.network)
    code = (
        "from urllib.request import urlopen; "
        "told = urlopen('http://127.0.0.1:9090/api/v1/query?query=up').read().decode(); "
        "assert '\"1\"]' in told, told"
    )
    wait("scrape", lambda: succeeds("exec", prometheus, "python3", "-c", code))


def main() -> int:
    """Run all; the exit code is 1 if anything failed."""
    in_namespace()
    machine, passed = Machine(), 0
    with tempfile.TemporaryDirectory() as folder:
        steps: list[Callable[[], None]] = [variables, lambda: build(Path(folder))]
        for step in (single, restart, upgrade, cluster, watched):
            steps.append(lambda step=step: step(machine))  # type: ignore[misc]
        try:
            for take in steps:
                began = time.monotonic()
                take()
                passed += 1
                print(f"container {passed}: ok ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception:
            traceback.print_exc(file=sys.stdout)
        finally:
            remove(PREFIX)
            succeeds("rmi", "--force", IMAGE)
    failed = len(steps) - passed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
