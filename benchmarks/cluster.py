"""Measures a cluster beside a node alone: ``python -m benchmarks --cluster``.

Node and cluster run at the same time and take turns, so that other work on the machine affects both
alike.
"""

import contextlib
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import contestants, measure, takeover
from .cluster_nodes import Cluster, running_cluster
from .play import Play, loading, playing
from .report import columns, number

ADDED = 4.0 / 6.9
"""What a message may cost an owner more than a node alone: 4 µs, where that takes 6.9 (see
docs/cluster.md). As a ratio it depends less on the machine, and on what else runs there."""

MOST_EDGES = 4


@dataclass
class Figure:
    """A line of the table; lower is better.

    Attributes:
        title: what it is.
        unit: of the values.
        goal: what it must not exceed; None for no goal.
        values: of the rounds.
    """

    title: str
    unit: str
    goal: float | None = None
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.values)


class Figures:
    """All lines, in the order in which they came."""

    def __init__(self) -> None:
        """Have none."""
        self.found: dict[str, Figure] = {}

    def add(self, title: str, unit: str, value: float, goal: float | None = None) -> None:
        """Add the value of a round."""
        self.found.setdefault(title, Figure(title, unit, goal)).values.append(value)

    def missed(self, tolerance: float = 1.0) -> list[Figure]:
        """Return those that are above their goals by more than a factor."""
        goals = (one for one in self.found.values() if one.goal is not None)
        return [one for one in goals if one.goal and one.median > one.goal * tolerance]

    def table(self) -> str:
        """Return them as text."""
        lines = [["figure", "unit", "median", "rounds", "goal", ""]]
        for one in self.found.values():
            rounds = " ".join(map(number, one.values))
            verdict = "" if one.goal is None else "reached" if one.median <= one.goal else "missed"
            goal = number(one.goal) if one.goal else ""
            lines.append([one.title, one.unit, number(one.median), rounds, goal, verdict])
        return columns(lines)


@dataclass(frozen=True)
class Pair:
    """A node alone and a cluster that run at the same time.

    Attributes:
        alone: the node's load.
        cluster: the cluster.
        joined: the load of its edges and owner.
    """

    alone: Play
    cluster: Cluster
    joined: Play


@contextlib.contextmanager
def running_pair(edges: int) -> Iterator[Pair]:
    """Run both."""
    with (
        playing(contestants.ours()) as alone,
        running_cluster(edges) as cluster,
        loading(cluster.load_options, cluster.owner.pid, 0) as joined,
    ):
        yield Pair(alone, cluster, joined)


def cost(pair: Pair, figures: Figures, channels: int, messages: int, first: int) -> None:
    """A flood of messages: CPU of a node alone, of the owner, the engine and an edge, for each.

    Nobody follows at the node alone and the owner; the edge has a follower of each channel.
    """
    total = channels * messages
    pair.alone.open(1, first=first + channels)
    with pair.alone.spending() as spent:
        pair.alone.publish(channels, messages, first=first)
        pair.alone.publish(1, 1, first=first + channels)
    pair.alone.close()
    pair.joined.open(channels, channels, first, servers=1)
    with pair.cluster.spending() as each:
        pair.joined.publish(channels, messages, first=first)
    pair.joined.close()
    alone, owner = spent.cpu * 1e6 / total, each["owner"] * 1e6 / total
    about = f"{channels} channel{'s' if channels > 1 else ''}"
    figures.add(f"{about}: node alone, per message", "µs", alone)
    figures.add(f"{about}: owner, per message", "µs", owner)
    figures.add(f"{about}: owner to node alone", "", owner / alone, 1 + ADDED)
    figures.add(f"{about}: engine, per message", "µs", each["engine"] * 1e6 / total)
    figures.add(f"{about}: edge, per message", "µs", each["edges"] * 1e6 / total)


def latency(pair: Pair, figures: Figures, channels: int, seconds: int, first: int) -> None:
    """Single messages, 2000 a second: the time until they are delivered, and CPU for each."""
    messages, rate = 2000 * seconds // channels, 2000
    pair.alone.open(channels, channels, first)
    with pair.alone.spending() as spent:
        alone = pair.alone.publish(channels, messages, first=first, rate=rate)
    pair.alone.close()
    pair.joined.open(channels, channels, first, servers=1)
    with pair.cluster.spending() as each:
        joined = pair.joined.publish(channels, messages, first=first, rate=rate)
    pair.joined.close()
    for name in ("p50", "p99"):
        before, after = alone[f"latency_{name}"], joined[f"latency_{name}"]
        figures.add(f"2000/s: {name} at a node alone", "ms", before)
        goal = 0.5 if name == "p50" else None
        figures.add(f"2000/s: {name} added by the cluster", "ms", after - before, goal)
    total = channels * messages
    figures.add("2000/s: node alone, per message", "µs", spent.cpu * 1e6 / total)
    for name, seconds_spent in each.items():
        title = f"2000/s: {name.removesuffix('s')}, per message"
        figures.add(title, "µs", seconds_spent * 1e6 / total)


def edges(pair: Pair, figures: Figures, followers: int, messages: int, first: int) -> None:
    """1, 2 and 4 edges with as many followers each: CPU of the edges for each delivery."""
    channels, costs = followers // 10, {}
    for count in (1, 2, MOST_EDGES):
        begin = first + count * channels
        for _ in range(10):
            pair.joined.open(channels * count, channels, begin, servers=count)
        with pair.cluster.spending(count) as each:
            answer = pair.joined.publish(channels, messages, first=begin, rate=500)
        pair.joined.close()
        costs[count] = each["edges"] * 1e6 / answer["received"]
        figures.add(f"{count} edges of {followers} followers: per delivery", "µs", costs[count])
        engine = each["engine"] * 1e6 / (channels * messages)
        figures.add(f"{count} edges: engine, per message", "µs", engine)
    for count in (2, MOST_EDGES):
        figures.add(f"{count} edges to 1, per delivery", "", costs[count] / costs[1], 1.15)


def memory(figures: Figures, followers: int) -> None:
    """What a follower of a channel of its own takes, at a node alone and at an edge."""
    with running_pair(1) as pair:
        edge = pair.cluster.edges[0].pid
        figures.add("edge, without followers", "MB", measure.memory_bytes(edge) / 2**20)
        pair.alone.publish(followers, 10)
        with pair.alone.spending() as spent:
            pair.alone.open(followers, followers, subscribe=False)
            pair.alone.subscribe(10, window=100)
        figures.add("follower at a node alone", "KB", spent.memory / 1024 / followers)
        pair.joined.publish(followers, 10)
        before = measure.memory_bytes(edge)
        pair.joined.open(followers, followers, servers=1, subscribe=False)
        pair.joined.subscribe(10, window=100)
        measure.settle(edge)
        each = (measure.memory_bytes(edge) - before) / 1024 / followers
        figures.add("follower at an edge, with its channel of 10", "KB", each)
        engine = measure.memory_bytes(pair.cluster.engine)
        figures.add(f"engine with {followers} channels of 10", "MB", engine / 2**20)


def run(output: Path, *, quick: bool, rounds: int) -> Figures:
    """Measure everything, and write it into a folder.

    Args:
        output: the folder.
        quick: whether to take small sizes.
        rounds: of each measurement.
    """
    figures = Figures()
    total = 4_000 if quick else 20_000
    with running_pair(MOST_EDGES) as pair:
        for turn in range(rounds):
            first = turn * 100_000
            for channels in (1, 100, 1000):
                cost(pair, figures, channels, total // channels, first + channels * 10)
            latency(pair, figures, 500 if quick else 1000, 2 if quick else 4, first + 20_000)
            edges(pair, figures, 100 if quick else 500, 20 if quick else 40, first + 30_000)
    for _ in range(1 if quick else rounds):
        figures.add("from the owner's death to the next message", "s", takeover.measure(), 3.0)
    memory(figures, 500 if quick else 2000)
    _write(output / "cluster.json", list(figures.found.values()))
    return figures


def _write(path: Path, found: Sequence[Figure]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"title": one.title, "unit": one.unit, "values": one.values} for one in found]
    path.write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n")
