"""Faults of a cluster's network: packets are dropped between machines, which are namespaces."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tests.faults.cluster_member import HERE, Member
from tests.faults.cluster_rig import Fault, Rig, fault, silence
from tests.integration.cluster import until

OUT, IN = "OUTPUT", "INPUT"

SILENT_FOR = 6
"""Seconds until the balancer has noticed that a node is out of reach, at most."""


def cut_off(rig: Rig, *, who: str, where: str, ways: Sequence[str], seconds: float) -> str:
    """Drop what goes between nodes and the engine, or everything that a node sends or gets.

    Args:
        rig: with machines.
        who: owner, edge or all.
        where: engine or everywhere.
        ways: out of the node, into it, or both.
        seconds: how long.
    """
    owner = rig.owner()
    nodes = {"owner": [owner], "edge": [rig.edge()], "all": rig.nodes}[who]
    for node in nodes:
        for chain in ways:
            _drop(rig, node, chain, where)
    time.sleep(rig.pick(seconds, 2))
    for node in nodes:
        assert node.machine is not None
        node.machine.mend()
    rig.until_flowing(60)
    until(lambda: len(rig.owners()) == 1, 30)
    who_owns = "the same owner" if rig.owner() is owner else "another owner"
    return f"{who_owns}; {silence(rig)}"


def _drop(rig: Rig, node: Member, chain: str, where: str) -> None:
    assert node.machine is not None
    if where == "engine":
        port = str(rig.engine.port)
        ends = ("-d", HERE, "--dport", port) if chain == OUT else ("-s", HERE, "--sport", port)
        node.machine.drop(chain, "-p", "tcp", *ends)
    else:
        node.machine.drop(chain, "!", "-" + ("o" if chain == OUT else "i"), "lo")


def split(rig: Rig) -> str:
    """Cut the owner off with the primary, while the replica is promoted for the others."""
    old, new = rig.engines
    old.ask("CONFIG", "SET", "min-replicas-max-lag", "2")
    old.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    owner = rig.owner()
    for node in rig.nodes:
        port = str((new if node is owner else old).port)
        assert node.machine is not None
        node.machine.drop(OUT, "-p", "tcp", "-d", HERE, "--dport", port)
        for other in rig.nodes:
            if (node is owner) is not (other is owner):
                assert other.machine is not None
                node.machine.drop(OUT, "-d", other.machine.host)
    new.ask("REPLICAOF", "NO", "ONE")
    rig.owner(besides=owner)
    rig.pause(10, 3)
    for node in rig.nodes:
        assert node.machine is not None
        node.machine.mend()
    until(lambda: not owner.owns, 20)
    rig.until_flowing(60)
    return f"the old owner kept what its primary took no more, and handed it over; {silence(rig)}"


def _case(name: str, text: str, lost: int = -1, **how: Any) -> None:
    play: Callable[[Rig], str] = partial(cut_off, **how)
    done = f"{text} for {how['seconds']:g} s"
    is_late = lost >= 0
    fault(Fault(name, done, play, is_far=True, lost=max(0, lost), reorders=is_late, mixes=False))


UNDER_WAY = SILENT_FOR * 200
"""Messages at most on their way to an owner that cannot be reached, at 200 a second."""

PATIENCE = 10

BUFFERED = (PATIENCE + SILENT_FOR) * 200
"""Messages at most that an owner keeps which cannot reach the engine, until it lets the broker go.
It hands them over when it can; those that are then behind the end of their job are dropped."""

BOTH = {"both": (OUT, IN)}
ONE = {"out": (OUT,), "in": (IN,)}
for _seconds in (5, 60):
    for _way, _ways in {**BOTH, **ONE}.items():
        _words = {"both": "both ways", "out": "from it", "in": "to it"}[_way]
        _case(
            f"net-owner-engine-{_way}-{_seconds}",
            f"packets between the owner and the engine are dropped, {_words},",
            BUFFERED if _seconds > PATIENCE else 0,
            who="owner",
            where="engine",
            ways=_ways,
            seconds=_seconds,
        )
        _case(
            f"net-owner-{_way}-{_seconds}",
            f"all packets of the owner's machine are dropped, {_words},",
            UNDER_WAY,
            who="owner",
            where="everywhere",
            ways=_ways,
            seconds=_seconds,
        )
    _case(
        f"net-edge-{_seconds}",
        "all packets of an edge's machine are dropped, both ways,",
        who="edge",
        where="everywhere",
        ways=(OUT, IN),
        seconds=_seconds,
    )
    _case(
        f"net-engine-{_seconds}",
        "all packets between nodes and the engine are dropped, both ways,",
        who="all",
        where="engine",
        ways=(OUT, IN),
        seconds=_seconds,
    )

LAG = 2
"""Seconds after which the primary takes nothing without its replica (``min-replicas-max-lag``)."""

fault(
    Fault(
        "net-split",
        "the owner is cut off with the primary, the replica promoted for the others",
        split,
        engines=2,
        is_far=True,
        lost=(LAG + 2) * 200,
        restarts=True,
        logs="NOREPLICAS",
        mixes=False,
    )
)
