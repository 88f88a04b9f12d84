"""Faults of a cluster's engine: it dies, stands still, loses data, scripts or connections."""

import re
import signal
import time

from tests.faults.cluster_rig import Fault, Rig, fault, silence
from tests.integration.cluster import until

AOF = ("--appendonly", "yes", "--appendfsync", "everysec")


def kill(rig: Rig) -> str:
    """Kill the engine, and start it again."""
    owner = rig.owner()
    rig.engine.kill()
    rig.pause(3, 1)
    rig.engine.start()
    rig.until_flowing()
    rig.run.require(rig.owner() is owner, "another node owns")
    return f"{silence(rig)}, 3 s of which the engine was away; the same owner"


def stand_still(rig: Rig) -> str:
    """Stop the engine's process for a while."""
    rig.engine.signal(signal.SIGSTOP)
    rig.pause(10, 3)
    rig.engine.signal(signal.SIGCONT)
    rig.until_flowing()
    return silence(rig)


def cut(rig: Rig) -> str:
    """Cut connections to the engine by its own command, and by resets."""
    for _ in range(int(rig.pick(10, 3))):
        rig.engine.ask("CLIENT", "KILL", "TYPE", "normal")
        rig.engine.ask("CLIENT", "KILL", "TYPE", "pubsub")
        time.sleep(0.5)
        for lines in rig.lines.values():
            lines[0].cut()
        time.sleep(0.5)
    rig.until_flowing()
    return silence(rig)


def empty(rig: Rig) -> str:
    """Empty the engine."""
    for _ in range(int(rig.pick(5, 2))):
        rig.engine.ask("FLUSHALL")
        time.sleep(1)
    rig.until_flowing()
    return silence(rig)


def forget_scripts(rig: Rig) -> str:
    """Let the engine forget its scripts."""
    for _ in range(int(rig.pick(10, 4))):
        rig.engine.ask("SCRIPT", "FLUSH")
        time.sleep(0.3)
    rig.until_flowing()
    return silence(rig)


fault(Fault("engine-killed", "kill -9 of the engine; it is empty when it returns", kill))
fault(Fault("engine-aof", "kill -9 of the engine, which has a file (everysec)", kill, AOF))
fault(Fault("engine-paused", "SIGSTOP of the engine for 10 s", stand_still))
fault(Fault("engine-cut", "all connections to the engine are cut, 20 times", cut))
fault(Fault("engine-emptied", "FLUSHALL, 5 times", empty))
fault(Fault("engine-scripts", "SCRIPT FLUSH, 10 times", forget_scripts))


def fill(rig: Rig) -> str:
    """Let the engine take nothing for a while, since its memory is full."""
    for _ in range(int(rig.pick(3, 1))):
        rig.engine.ask("CONFIG", "SET", "maxmemory", "1mb")
        rig.pause(4, 1.5)
        rig.engine.ask("CONFIG", "SET", "maxmemory", "0")
        rig.until_flowing()
    return silence(rig)


def flood_edge(rig: Rig) -> str:
    """Let an edge read nothing, until the engine cuts it by its output limit."""
    line = rig.lines[rig.edge()][0]
    rig.engine.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 64kb 0 0")
    line.back.shut()
    rig.jobs.padding = bytes(20_000)
    until(lambda: limited(rig) > 0, 20)
    rig.jobs.padding = b""
    line.back.open()
    rig.until_flowing()
    count = limited(rig)
    rig.engine.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60")
    return f"cut {count} times, and was back; {silence(rig)}"


def limited(rig: Rig) -> int:
    """How often the engine has cut a client by the output limit."""
    told = str(rig.engine.ask("INFO", "stats"))
    found = re.search(r"client_output_buffer_limit_disconnections:(\d+)", told)
    return int(found[1]) if found else 0


def promote(rig: Rig) -> str:
    """Kill the primary, and promote its replica, whose first dials are refused."""
    old, new = rig.engines
    for lines in rig.lines.values():
        lines[1].refused = 2
    old.kill()
    rig.pause(2, 0.5)
    new.ask("REPLICAOF", "NO", "ONE")
    rig.until_flowing()
    return f"all nodes use the new one, the first 2 dials of each were refused; {silence(rig)}"


def isolate(rig: Rig) -> str:
    """Cut the primary off while its replica is promoted; it comes back and is a primary still."""
    old, new = rig.engines
    for lines in rig.lines.values():
        lines[0].hold()
    rig.pause(2, 0.5)
    new.ask("REPLICAOF", "NO", "ONE")
    rig.until_flowing()
    rig.pause(3, 1)
    for lines in rig.lines.values():
        lines[0].release()
    rig.pause(3, 1)
    for lines in rig.lines.values():
        lines[1].cut()
    rig.pause(3, 1)
    old.ask("REPLICAOF", "127.0.0.1", str(new.port))
    rig.until_flowing()
    return f"all nodes use the new one; {silence(rig)}"


fault(Fault("engine-full", "the engine's memory is full for 4 s, 3 times", fill, logs="OOM"))
fault(Fault("edge-slow", "an edge reads nothing until the engine cuts it", flood_edge))
fault(
    Fault(
        "promoted",
        "the primary dies, its replica is promoted",
        promote,
        engines=2,
        mixes=False,
    )
)
fault(
    Fault(
        "isolated",
        "the primary is cut off, its replica promoted, the old primary back for 6 s as such",
        isolate,
        engines=2,
        mixes=False,
    )
)
