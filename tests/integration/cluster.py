"""Real nodes of a cluster, in processes of their own, with a real engine."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.integration.relays import Relay
from tests.integration.support import PATIENCE, Monitor, free_ports
from tests.support.engine import EngineServer

LEASE = 1.5
"""Seconds; on a busy machine an owner may not come to renew a shorter lease in time."""


class Node(Monitor):
    """A monitor that is a node.

    Attributes:
        name: of the node.
        status: its private listener.
    """

    def __init__(self, folder: str, name: str, engine: str, **settings: object) -> None:
        (port,) = free_ports(1)
        self.name, self.status = name, f"http://127.0.0.1:{port}"
        cluster = {"engine": engine, "name": name, "lease": LEASE, "patience": 3}
        given = settings.pop("cluster", {})
        assert isinstance(given, dict)
        settings |= {"status_uri": ["127.0.0.1", port], "cluster": {**cluster, **given}}
        super().__init__(folder, "command", **settings)

    def asked(self, path: str, timeout: float = 2) -> int:
        """The status of an answer of the private listener; 0 if there is none."""
        try:
            with urlopen(self.status + path, timeout=timeout) as answer:
                return int(answer.status)
        except URLError as error:
            return getattr(error, "code", 0)
        except OSError:
            return 0

    def knows(self, count: int) -> bool:
        """Whether it knows so many nodes."""
        return len(self.told("/api/status")["cluster"]["nodes"]) == count

    def told(self, path: str) -> dict[str, Any]:
        """The JSON that the private listener answers with."""
        with urlopen(self.status + path, timeout=PATIENCE) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    @property
    def owns(self) -> bool:
        """Whether it says that it owns."""
        return self.asked("/ownerz") == 200


class Link(Relay):
    """A node's way to the engine, which can be cut for a while."""

    def __init__(self, engine: EngineServer) -> None:
        self._engine = ("127.0.0.1", engine.port)
        super().__init__(self._engine)
        self.address = f"redis://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Cut it."""
        self._target = ("127.0.0.1", 1)
        self.cut()

    def start(self) -> None:
        """Let it work again."""
        self._target = self._engine


class Cluster:
    """An engine and nodes.

    Attributes:
        engine: that they share.
        nodes: the nodes.
        links: by node, its way to the engine.
    """

    def __init__(self, engine: EngineServer, nodes: list[Node], links: dict[Node, Link]) -> None:
        self.engine = engine
        self.nodes = nodes
        self.links = links

    def owner(self, timeout: float = PATIENCE) -> Node:
        """The node that owns, once there is one."""
        found: list[Node] = []

        def look() -> bool:
            found[:] = [one for one in self.nodes if one.process.poll() is None and one.owns]
            return len(found) == 1

        until(look, timeout)
        return found[0]

    def edge(self) -> Node:
        """A node that does not own."""
        owner = self.owner()
        return next(one for one in self.nodes if one is not owner and one.process.poll() is None)


def until(holds: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)


@contextmanager
def running_cluster(count: int = 2, *options: str, **settings: object) -> Iterator[Cluster]:
    """A cluster that runs during the block; ``options`` are the engine's."""
    with ExitStack() as stack:
        engine = EngineServer(*options).start()
        stack.callback(engine.stop)
        nodes, links = [], {}
        for number in range(count):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            link = Link(engine)
            stack.callback(link.close)
            node = Node(folder, f"node-{number}", link.address, **settings)
            links[node] = link
            stack.callback(_end, node)
            node.start()
            nodes.append(node)
        yield Cluster(engine, nodes, links)


def _end(node: Node) -> None:
    if hasattr(node, "process"):
        node.stop(9)
        log = Path(node.log)
        if log.exists() and "Traceback" in log.read_text():
            raise AssertionError(log.read_text())
