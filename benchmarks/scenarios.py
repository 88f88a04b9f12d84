"""The scenarios with their sizes, and the rows of the table that they fill."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import workloads
from .contestants import JOURNAL, OURS, WATCHED
from .workloads import Result

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Goal:
    """What our figure must not exceed.

    Attributes:
        nchan: a ratio to Nchan's figure of the same run.
        original: a ratio to the plain asyncio program's; used without Nchan.
        absolute: in the row's unit; for figures that do not depend on the machine.
    """

    nchan: float | None = None
    original: float | None = None
    absolute: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table; lower is better everywhere.

    Attributes:
        variant: the variant of our monitor that has this goal.
        base: the key of another row, if this row is the variant's figure there as a ratio to the
            plain monitor's.
    """

    key: str
    title: str
    unit: str
    goal: Goal | None = None
    variant: str = OURS
    base: str = ""


@dataclass(frozen=True)
class Scenario:
    """A scenario and its sizes, which are the arguments of its function.

    Attributes:
        name: its name for ``--scenario``.
        play: plays it against one fresh contestant.
        rows: the rows that it fills.
        full: the sizes of a full run.
        quick: the sizes of a quick run, which takes two minutes in total.
        grows: the size that ``--scale`` varies; empty if only ``--scale`` plays the scenario.
        growth: sizes besides `full`, between which the figures should not change.
        growth_rows: the rows to compare between them, if not `rows`.
        only: the contestants that play it; empty for all.
    """

    name: str
    play: Callable[..., Result]
    rows: tuple[Row, ...]
    full: Sizes
    quick: Sizes
    grows: str = ""
    growth: tuple[Sizes, ...] = ()
    growth_rows: tuple[Row, ...] = ()
    only: tuple[str, ...] = ()

    def points(self) -> list[Sizes]:
        """Return the sizes to compare, smallest first."""
        return sorted((*self.growth, self.full), key=lambda sizes: sizes[self.grows])


WITH_JOURNAL = "with the journal, to without"
WITH_PAGE = "with the status page open, to without"

SCENARIOS = (
    Scenario(
        "flood",
        workloads.flood,
        (
            Row("flood", "unicast flood, per delivery", "µs", Goal(nchan=0.7, original=0.3)),
            Row("flood-journal", WITH_JOURNAL, "", Goal(absolute=1.2), JOURNAL, "flood"),
        ),
        {"channels": 2000, "tasks": 30},
        {"channels": 1000, "tasks": 30},
        "channels",
        ({"channels": 10, "tasks": 3000}, {"channels": 10000, "tasks": 30}),
    ),
    Scenario(
        "steady",
        workloads.steady,
        (Row("steady", "fan-out, steady, per delivery", "µs", Goal(nchan=1.0, original=0.37)),),
        {"followers": 1000, "rate": 10, "seconds": 5},
        {"followers": 1000, "rate": 10, "seconds": 2},
        "followers",
        tuple({"followers": n, "rate": 10, "seconds": 5} for n in (100, 9000)),
    ),
    Scenario(
        "burst",
        workloads.burst,
        (Row("burst", "fan-out, burst, per delivery", "µs", Goal(nchan=0.1, original=0.04)),),
        {"followers": 1000, "messages": 200},
        {"followers": 1000, "messages": 200},
        "followers",
        tuple({"followers": n, "messages": 200} for n in (100, 9000)),
    ),
    Scenario(
        "replay",
        workloads.replay,
        (Row("replay", "replay of 1000, per follower", "µs", Goal(nchan=0.05, original=0.02)),),
        {"followers": 200, "messages": 1000},
        {"followers": 100, "messages": 1000},
        "messages",
        (
            {"followers": 2000, "messages": 10},
            {"followers": 1000, "messages": 100},
            {"followers": 50, "messages": 10000},
            {"followers": 10, "messages": 100000},
        ),
        (Row("replay-message", "replay, per message", "µs"),),
    ),
    Scenario(
        "ingest",
        workloads.ingest,
        (
            Row("ingest", "ingest without followers, per message", "µs", Goal(0.8, original=0.17)),
            Row("ingest-journal", WITH_JOURNAL, "", Goal(absolute=1.6), JOURNAL, "ingest"),
        ),
        {"channels": 1000, "messages": 100},
        {"channels": 1000, "messages": 50},
        "channels",
        ({"channels": 10, "messages": 10000}, {"channels": 10000, "messages": 10}),
    ),
    Scenario(
        "paced",
        workloads.paced,
        (
            Row("paced", "2000 deliveries/s, per delivery", "µs", Goal(original=0.5)),
            Row("paced-watched", WITH_PAGE, "", Goal(absolute=1.1), WATCHED, "paced"),
            Row("paced-p99", "2000 deliveries/s, p99 latency", "ms", Goal(original=0.5)),
        ),
        {"channels": 1000, "rate": 2000, "seconds": 5},
        {"channels": 1000, "rate": 2000, "seconds": 2},
        "channels",
        tuple({"channels": n, "rate": 2000, "seconds": 5} for n in (100, 9000)),
    ),
    Scenario(
        "connect",
        workloads.connect,
        (Row("connect", "connect and subscribe, per client", "µs", Goal(original=0.6)),),
        {"clients": 3000},
        {"clients": 1500},
        "clients",
        ({"clients": 100}, {"clients": 1000}, {"clients": 9000}),
    ),
    Scenario(
        "idle",
        workloads.idle,
        (Row("idle", "memory per idle follower", "KB", Goal(absolute=5.0)),),
        {"followers": 4000},
        {"followers": 1500},
        "followers",
        ({"followers": 100}, {"followers": 1000}, {"followers": 9000}),
    ),
    Scenario(
        "saved",
        workloads.saved,
        (Row("saved", "memory per saved message of 80 B", "B", Goal(absolute=200.0)),),
        {"channels": 1000, "messages": 200},
        {"channels": 500, "messages": 200},
        "messages",
        (
            {"channels": 10000, "messages": 10},
            {"channels": 1000, "messages": 100},
            {"channels": 100, "messages": 1000},
            {"channels": 10, "messages": 10000},
            {"channels": 2, "messages": 100000},
        ),
    ),
    Scenario(
        "handshake",
        workloads.handshake,
        (
            Row("handshake-p50", "handshake in a flood, median", "ms"),
            Row("handshake-max", "handshake in a flood, slowest", "ms", Goal(absolute=50.0)),
        ),
        {"channels": 2000, "messages": 150},
        {"channels": 1000, "messages": 50},
    ),
    Scenario(
        "lag",
        workloads.lag,
        (
            Row("lag-p99", "loop lag in a crowd, p99", "ms"),
            Row("lag-max", "loop lag in a crowd, slowest", "ms", Goal(absolute=10.0)),
        ),
        {"followers": 9000, "rate": 2000, "seconds": 9},
        {"followers": 2000, "rate": 2000, "seconds": 2},
    ),
    Scenario(
        "jobs",
        workloads.jobs,
        (
            Row("jobs-cpu", "1000 jobs over 10 clients, CPU to 1000", "", Goal(absolute=1.3)),
            Row("jobs-memory", "the same, memory", "", Goal(absolute=0.2)),
        ),
        {"channels": 1000, "clients": 10, "rate": 2000, "seconds": 5},
        {"channels": 1000, "clients": 10, "rate": 2000, "seconds": 3},
        "channels",
        ({"channels": 100, "clients": 10, "rate": 2000, "seconds": 5},),
        only=(OURS,),
    ),
)
