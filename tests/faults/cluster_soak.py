"""Faults of a cluster one after another on the same nodes, in turn or at random."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from tests.faults.cluster_rig import FAULTS, Fault, Rig, conclude, keep, rigged
from tests.faults.table import Case, Run, case

QUICK = (
    *("engine-killed", "owner-stopped", "engine-emptied", "owner-killed"),
    *("engine-cut", "owner-zombie", "edge-killed", "second-writer"),
)
"""Those that the tests play: each takes a few seconds."""

MIXED = Fault("mixed", "", lambda _: "")


def play_all(rig: Rig, faults: Iterable[Fault]) -> Counter[str]:
    """Play faults one after another; returns how often each was played."""
    played: Counter[str] = Counter()
    silence = 0.0
    for one in faults:
        rig.students.forget_silence()
        problems = len(rig.run.problems)
        try:
            one.play(rig)
        except AssertionError as error:
            rig.run.require(False, str(error))
        for number in range(problems, len(rig.run.problems)):
            rig.run.problems[number] = f"{one.name}: {rig.run.problems[number]}"
        played[one.name] += 1
        silence = max(silence, rig.students.silence)
        rig.pause(2, 0.3)
    conclude(rig, [FAULTS[name] for name in played.elements()])
    rig.run.service = f"nobody got anything for {silence:.1f} s at most"
    return played


@case("cluster", "faults of a cluster's engine, owner and edges one after another")
def cluster(run: Run) -> None:
    """Every client has each message once, in order."""
    mixing = [one for one in FAULTS.values() if one.mixes and not one.reorders]
    faults = mixing if run.long else [FAULTS[name] for name in QUICK]
    with rigged(run, MIXED) as rig:
        played = play_all(rig, faults)
        keep(rig, MIXED.name)
    run.amount = f"{len(played)} faults, {run.amount}"


def soak(seconds: float) -> list[tuple[Case, Run]]:
    """Play faults at random for a time; returns the lines of the table."""
    seed = int(time.time())
    chance = random.Random(seed)
    whole = Case("cluster-soak", "faults of a cluster at random on the same nodes", _nothing)
    run, deadline = Run(long=True), time.monotonic() + seconds

    def chosen() -> Iterator[Fault]:
        mixing = [one for one in FAULTS.values() if one.mixes]
        while time.monotonic() < deadline:
            yield chance.choice(mixing)

    with rigged(run, MIXED) as rig:
        rig.jobs.repeats = True
        played = play_all(rig, chosen())
        keep(rig, MIXED.name)
    text = ", ".join(f"{name} {count}" for name, count in sorted(played.items()))
    run.amount = f"{played.total()} faults in {seconds / 60:g} minutes ({text}), {run.amount}"
    run.require(run.ok, f"the seed was {seed}")
    return [(whole, run)]


def _nothing(_: Run) -> None:
    """Do nothing: it is played together with others."""
