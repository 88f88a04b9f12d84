"""Faults of a cluster's nodes: they die, stand still, stop, or have another time."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.faults.cluster_engine import AOF
from tests.faults.cluster_member import Member
from tests.faults.cluster_rig import Fault, Rig, fault, silence
from tests.integration.cluster import until


def kill_edge(rig: Rig) -> str:
    """Kill an edge, and start it again."""
    edge = rig.edge()
    edge.end(signal.SIGKILL)
    rig.pause(5, 1.5)
    edge.start()
    rig.until_flowing()
    return f"its clients resumed on others; {silence(rig)}"


def kill_owner(rig: Rig) -> str:
    """Kill the owner, and start it again as an edge."""
    owner = rig.owner()
    began = time.monotonic()
    owner.end(signal.SIGKILL)
    rig.owner(besides=owner)
    took = time.monotonic() - began
    rig.until_flowing()
    rig.pause(2, 0.5)
    owner.start()
    rig.until_flowing()
    return f"another one owned after {took:.1f} s; {silence(rig)}"


def suspend_briefly(rig: Rig) -> str:
    """Let the owner stand still until another owns, and go on: two think that they own."""
    return suspend_owner(rig, 0)


def suspend_owner(rig: Rig, seconds: float = 8) -> str:
    """Let the owner stand still past its lease, and go on."""
    owner = rig.owner()
    owner.signal(signal.SIGSTOP)
    rig.owner(besides=owner)
    rig.pause(seconds, seconds / 2)
    owner.signal(signal.SIGCONT)
    rig.until_flowing()
    until(lambda: not owner.owns, 10)
    return f"another one owned, the old one is an edge in place; {silence(rig)}"


def stop_owner(rig: Rig) -> str:
    """Stop the owner by SIGTERM, and start it again, some times."""
    times = []
    held = rig.jobs.held
    for _ in range(int(rig.pick(5, 2))):
        owner = rig.owner()
        ended = threading.Thread(target=owner.end)
        began = time.monotonic()
        ended.start()
        until(lambda owner=owner: any(one.listens for one in rig.nodes if one is not owner))  # type: ignore
        times.append(time.monotonic() - began)
        ended.join()
        rig.until_flowing()
        owner.start()
        rig.pause(2, 0.5)
    # After many faults there are hundreds of jobs, which the next one reads first.
    bound = rig.run.within(0.5, 15) if len(rig.jobs.all) < 100 else 2
    rig.run.require(max(times) < bound, f"another one listened after {max(times):.2f} s")
    rig.run.require(rig.jobs.held == held, "the broker could not send")
    return f"another one listened after at most {max(times):.2f} s, {len(times)} times"


def restart_all(rig: Rig) -> str:
    """Restart all nodes, one after another, as an upgrade does."""
    for _ in range(int(rig.pick(3, 1))):
        for node in rig.nodes:
            node.end()
            node.start()
            until(lambda node=node: node.asked("/readyz") == 200, 20)  # type: ignore
            rig.pause(1, 0.3)
    rig.until_flowing()
    return f"no message lost; {silence(rig)}"


def fill_while_late(rig: Rig) -> str:
    """Let the engine be full when an owner that stood still has to hand over."""
    owner = rig.owner()
    owner.signal(signal.SIGSTOP)
    rig.owner(besides=owner)
    rig.engine.ask("CONFIG", "SET", "maxmemory", "1mb")
    owner.signal(signal.SIGCONT)
    until(lambda: not owner.owns, 20)
    rig.pause(4, 1.5)
    rig.engine.ask("CONFIG", "SET", "maxmemory", "0")
    until(lambda: not owner.listens, 30)
    rig.until_flowing()
    return f"it handed over when there was room; {silence(rig)}"


def suspend_edge(rig: Rig) -> str:
    """Let an edge stand still, as a virtual machine that is moved."""
    edge = rig.edge()
    edge.signal(signal.SIGSTOP)
    rig.pause(10, 3)
    edge.signal(signal.SIGCONT)
    rig.until_flowing()
    return silence(rig)


def stop_shifted(rig: Rig) -> str:
    """Let every node own once."""
    for _ in range(3):
        owner = rig.owner()
        owner.end()
        rig.owner()
        owner.start()
        rig.until_flowing()
        rig.pause(2, 0.5)
    return f"each owned once; {silence(rig)}"


def usurp(rig: Rig) -> str:
    """Take lease and fence by force, as a second owner would; it goes away again."""
    owner = rig.owner()
    for _ in range(int(rig.pick(3, 1))):
        rig.engine.ask("SET", "rx:lease", "0123456789abcdef intruder", "PX", "2000")
        rig.engine.ask("HSET", "rx:fence", "token", "0123456789abcdef")
        rig.engine.ask("HINCRBY", "rx:fence", "generation", "1")
        until(lambda: not rig.owners(), 10)
        rig.owner()
        rig.until_flowing()
    owners = {owner.name, rig.owner().name}
    return f"fenced off at once, then {len(owners)} nodes owned by turns; {silence(rig)}"


def lose_both(rig: Rig) -> str:
    """Let the owner restart while the engine is away."""
    owner = rig.owner()
    rig.engine.kill()
    rig.pause(1, 0.5)
    owner.end()
    owner.start()
    rig.pause(2, 0.5)
    rig.engine.start()
    rig.until_flowing(60)
    return silence(rig)


def start_all(rig: Rig) -> str:
    """Kill all nodes at once, and start them at once, again and again."""
    rounds = int(rig.pick(100, 10))
    rig.jobs.pace = 50
    for number in range(rounds):
        for node in rig.nodes:
            node.signal(signal.SIGKILL)
        for node in rig.nodes:
            node.end(signal.SIGKILL)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Member.start, rig.nodes))
        until(lambda: bool(rig.owners()), 30)
        for _ in range(10):
            time.sleep(0.03)
            rig.run.require(len(rig.owners()) <= 1, f"two own in round {number}")
        counts = [node.logged().count("this node owns now") for node in rig.nodes]
        rig.run.require(sum(counts) == 1, f"owned in round {number}: {counts}")
    rig.until_flowing()
    return f"one owned, {rounds} times of {rounds}"


ON_THE_WAY = 20
"""Messages at most that an owner has received, at 200 a second, and the engine has not when it is
killed: they are lost with it."""

UNTIL_GIVEN_UP = 800
"""Messages at most that the broker sends to an owner before the balancer gives that up: they come
after those that went to the next one, and are dropped if their job has ended by then."""

fault(Fault("edge-killed", "kill -9 of an edge, later started again", kill_edge))
fault(
    Fault(
        "owner-killed",
        "kill -9 of the owner, later started again",
        kill_owner,
        lost=ON_THE_WAY,
    )
)
fault(Fault("owner-zombie", "SIGSTOP of the owner past its lease, then SIGCONT", suspend_briefly))
fault(Fault("owner-stopped", "SIGTERM of the owner, 5 times", stop_owner))
fault(Fault("upgrade", "all nodes restart one after another, 3 times", restart_all))
fault(
    Fault(
        "owner-paused",
        "SIGSTOP of the owner for 10 s: the balancer gives it up",
        suspend_owner,
        lost=UNTIL_GIVEN_UP,
        reorders=True,
    )
)
fault(
    Fault(
        "late-full",
        "SIGSTOP of the owner past its lease; the engine is full for 4 s from its SIGCONT on",
        fill_while_late,
        logs="OOM",
    )
)
fault(Fault("edge-paused", "SIGSTOP of an edge for 10 s", suspend_edge))
fault(
    Fault(
        "clocks",
        "the clock of one node is an hour ahead, another's an hour behind",
        stop_shifted,
        shifts=(3600, -3600),
        mixes=False,
    )
)
fault(Fault("second-writer", "another takes lease and fence by force, for 2 s", usurp))
fault(
    Fault(
        "both",
        "SIGTERM of the owner while the engine is away, which has a file (everysec)",
        lose_both,
        AOF,
        lost=1000,
        restarts=True,
        logs="messages are lost",
        mixes=False,
    )
)
fault(
    Fault(
        "both-empty",
        "SIGTERM of the owner while the engine is away, which is empty when it returns",
        lose_both,
        lost=3000,
        restarts=True,
        logs="messages are lost",
        mixes=False,
    )
)
fault(
    Fault(
        "starts",
        "all nodes are killed and started at once, 100 times",
        start_all,
        lost=300,
        mixes=False,
    )
)
