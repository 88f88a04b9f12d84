"""A cluster under load for its faults: engines, nodes, a broker, clients that move and resume."""

import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.cluster_clients import Students
from tests.faults.cluster_jobs import Job, Jobs
from tests.faults.cluster_lines import Balancer, Line
from tests.faults.cluster_member import HERE, Machine, Member, machines
from tests.faults.system import set_clock, shifted_clock
from tests.faults.table import Run, case
from tests.integration.cluster import until
from tests.support.engine import EngineServer

BAD = re.compile(
    r"Traceback|Unhandled|\[CRITICAL\]"
    r"|\[ERROR\] (?!.*((lost|reach|use) the engine|handing over waits|engine takes no messages))"
)
"""Lines of a log that must not be there; a lost or full engine is an error that has to be."""


class Rig:
    """A cluster under load.

    Attributes:
        run: what it is played for.
        engines: the engine; or several, of which the first is the primary.
        nodes: the nodes.
        lines: by node, its ways to the engines.
        balancer: brings the broker to the owner.
        jobs: the broker.
        students: the clients.
    """

    def __init__(self, run: Run, engines: list[EngineServer]) -> None:
        self.run = run
        self.engines = engines
        self.nodes: list[Member] = []
        self.lines: dict[Member, list[Line]] = {}
        self.balancer: Balancer
        self.jobs: Jobs
        self.students: Students

    @property
    def engine(self) -> EngineServer:
        """The one engine, or the first of them."""
        return self.engines[0]

    def owners(self) -> list[Member]:
        """Those that say that they own."""
        return [one for one in self.nodes if one.alive and one.owns]

    def owner(self, besides: Member | None = None, timeout: float = 30) -> Member:
        """The node that owns, once there is one.

        Args:
            besides: one that does not count, since it cannot say anything, or does not know yet.
            timeout: seconds.
        """
        found: list[Member] = []

        def look() -> bool:
            alive = [one for one in self.nodes if one.alive and one is not besides]
            found[:] = [one for one in alive if one.owns]
            return len(found) == 1

        until(look, timeout)
        return found[0]

    def edge(self) -> Member:
        """A node that does not own."""
        owner = self.owner()
        return next(one for one in self.nodes if one is not owner and one.alive)

    def pick(self, full: float, quick: float) -> float:
        """What to take in the full and in the quick form."""
        return full if self.run.long else quick

    def pause(self, full: float, quick: float) -> None:
        """Wait for some seconds, with load."""
        time.sleep(self.pick(full, quick))

    def until_flowing(self, timeout: float = 30) -> float:
        """Wait until clients get what is sent from now on; returns how long that took."""
        began = time.monotonic()
        sent, before = self.jobs.messages, self.students.news
        until(lambda: self.jobs.messages > sent + 20, timeout)
        until(lambda: self.students.news > before + 20, timeout)
        return time.monotonic() - began


def silence(rig: Rig) -> str:
    """What clients noticed, as text for the table."""
    return f"nobody got anything new for {rig.students.silence:.1f} s"


@dataclass(frozen=True)
class Fault:
    """A fault, and what may come of it.

    Attributes:
        name: of its case, behind ``cluster-``.
        done: what is done, as text for the table.
        play: does it, and returns what was seen, as text for the table.
        options: of the engines.
        engines: how many.
        is_far: whether every node is to have a machine of its own.
        shifts: by how many seconds the clocks of the nodes are off, if they are.
        lost: how many messages may be lost on their way to an owner that died.
        restarts: whether clients may have to begin again, since data were lost for good.
        reorders: whether messages may come in another order than sent, the same for all clients:
            what was under way to an owner that could not be reached comes after the others.
        logs: a regular expression for errors that nodes may log.
        mixes: whether it can be one of many on one rig.
    """

    name: str
    done: str
    play: Callable[[Rig], str]
    options: tuple[str, ...] = ()
    engines: int = 1
    is_far: bool = False
    shifts: tuple[int, ...] = ()
    lost: int = 0
    restarts: bool = False
    reorders: bool = False
    logs: str = "^$"
    mixes: bool = True


FAULTS: dict[str, Fault] = {}


def fault(fault: Fault) -> Fault:
    """Add a case to the table, which plays a fault on a rig of its own."""

    def play(run: Run) -> None:
        with rigged(run, fault) as rig:
            time.sleep(rig.pick(3, 1.5))
            rig.students.forget_silence()
            run.service = fault.play(rig)
            time.sleep(rig.pick(3, 1.5))
            conclude(rig, [fault])
            keep(rig, fault.name)

    FAULTS[fault.name] = fault
    case(f"cluster-{fault.name}", fault.done, is_quick=False)(play)
    return fault


@contextmanager
def rigged(run: Run, fault: Fault) -> Iterator[Rig]:
    """A rig for a fault, during the block."""
    with ExitStack() as stack:
        servers = []
        for _ in range(fault.engines):
            bound = ("--bind", "127.0.0.1", HERE, "--protected-mode", "no") if fault.is_far else ()
            server = EngineServer(*bound, *fault.options)
            stack.callback(server.stop)
            servers.append(server)
        rig = Rig(run, servers)
        where = stack.enter_context(machines(3)) if fault.is_far else []
        for replica in servers:
            replica.start()
            if replica is not servers[0]:
                replica.ask("REPLICAOF", "127.0.0.1", str(servers[0].port))
        for number in range(3):
            _add_node(rig, stack, f"node-{number}", where[number] if where else None)
        for node, shift in zip(rig.nodes, fault.shifts, strict=False):
            environment, file = stack.enter_context(shifted_clock())
            set_clock(file, shift)
            node.before = ("env", *(f"{name}={value}" for name, value in environment.items()))
        _start(rig, stack)
        yield rig


def _add_node(rig: Rig, stack: ExitStack, name: str, machine: Machine | None) -> None:
    settings = {"lease": 1.5, "patience": 10} if rig.run.long else {"lease": 1.5, "patience": 3}
    if machine is None:
        lines = [_line_to(one) for one in rig.engines]
        urls = [f"redis://127.0.0.1:{one.port}" for one in lines]
    else:
        lines, urls = [], [f"redis://{HERE}:{one.port}" for one in rig.engines]
    node = Member(
        stack.enter_context(tempfile.TemporaryDirectory()),
        name,
        urls[0],
        cluster={**settings, "engine": urls if len(urls) > 1 else urls[0]},
    )
    if machine is not None:
        node.move_to(machine)
    rig.nodes.append(node)
    rig.lines[node] = lines
    stack.callback(_end, node, lines)


def _start(rig: Rig, stack: ExitStack) -> None:
    run = rig.run
    with ThreadPoolExecutor() as pool:
        list(pool.map(Member.start, rig.nodes))
    until(lambda: len(rig.owners()) == 1, 30)
    rig.balancer = Balancer(rig.nodes)
    stack.callback(rig.balancer.close)
    rig.jobs = Jobs(rig.balancer.address, run.pick(200, 100))
    stack.callback(rig.jobs.close)
    rig.students = Students(rig.nodes, rig.jobs, run.pick(200, 40))
    stack.callback(rig.students.close)
    until(lambda: rig.students.deliveries > 0, 30)


def _line_to(server: EngineServer) -> Line:
    return Line(lambda: ("127.0.0.1", server.port), 16384)


def _end(node: Member, lines: list[Line]) -> None:
    for one in lines:
        one.close()
    if node.alive:
        node.signal(signal.SIGCONT)
        node.stop(signal.SIGKILL)


def conclude(rig: Rig, faults: Sequence[Fault]) -> None:
    """Let all jobs end, and require that all clients have got all messages, once and in order."""
    run, jobs, students = rig.run, rig.jobs, rig.students
    jobs.finish()
    deadline = time.monotonic() + 45
    while not students.idle and time.monotonic() < deadline:
        time.sleep(0.05)
        jobs.finish_again()
    waiting = [f"{one.name} ({one.followers})" for one in jobs.all if one.followers]
    run.require(not waiting, f"not ended for clients of: {waiting}")
    may_reorder = any(one.reorders for one in faults)
    for problem in [
        *students.problems,
        *(one for job in jobs.all for one in job.problems(may_reorder=may_reorder)),
    ]:
        run.require(False, problem)
    missing, may_lose = sum(map(Job.lost, jobs.all)), sum(one.lost for one in faults)
    run.require(missing <= may_lose, f"{missing} messages were lost")
    may_restart = any(one.restarts for one in faults)
    text = f"{students.restarts} clients had to begin again"
    run.require(may_restart or not students.restarts, text)
    for node in rig.nodes:
        bad = [line for line in node.logs().splitlines() if BAD.search(line)]
        bad = [line for line in bad if not any(re.search(one.logs, line) for one in faults)]
        run.require(not bad, f"{node.name} logged {len(bad)} errors, first {bad[:3]}")
        run.require(node.alive, f"{node.name} does not run")
    run.require(len(rig.owners()) == 1, f"{len(rig.owners())} nodes own")
    run.amount = f"{jobs.messages} messages in {len(jobs.all)} jobs, {students.deliveries} "
    run.amount += f"deliveries; clients moved {students.moves} times, were cut {students.ends}"
    late = "on the way, or behind the end of their job" if may_reorder else "on the way"
    run.lost = f"{missing} messages {late}" if missing else "nothing"
    if students.restarts:
        run.lost += f"; {students.restarts} clients had to begin again"
    if any(job.is_reordered for job in jobs.all):
        run.lost += "; the order of some"


def keep(rig: Rig, name: str) -> None:
    """Keep the nodes' logs and what clients got, in the folder that FAULTS_LOGS names."""
    top = os.environ.get("FAULTS_LOGS")
    if top:
        folder = Path(top) / name
        folder.mkdir(parents=True, exist_ok=True)
        for node in rig.nodes:
            (folder / f"{node.name}.log").write_text(node.logs())
        jobs = {job.name: {"sent": job.sent, "lists": [*job.lists]} for job in rig.jobs.all}
        (folder / "jobs.json").write_text(json.dumps(jobs))
