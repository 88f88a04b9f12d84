"""Totals of a running monitor and their charts, read from its parts.

All values are plain, as JSON has them.
"""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from recodex_monitor.broker.peers import Peers
from recodex_monitor.channels.counters import read_so_far
from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.connections import Connections
from recodex_monitor.status.problems import Seen
from recodex_monitor.timing.clock import Clock

SAMPLE = 10.0
"""Seconds between two samples."""

SAMPLES = 90
"""Intervals between samples that are kept: 15 minutes."""


class BrokerSide(Protocol):
    """What the status needs of the broker's service."""

    peers: Peers
    dropped: Mapping[str, int]
    addresses: list[Any]


class Cluster(Protocol):
    """What the status needs of the relay."""

    def report(self) -> Mapping[str, Any]:
        """The cluster, as this node sees it."""


class Totals(NamedTuple):
    """Counters, which never decrease, and the current number of followers.

    Attributes:
        messages: received from the broker.
        connects: subscriptions that began.
        deliveries: messages delivered to clients.
        bytes: size of the delivered messages, as they are in the history.
        followers: current subscriptions.
        slow: current subscriptions that are paused and behind.
        refused: refused clients, by reason.
        limits: what limits have cost, by limit.
        dropped: messages of the broker that were dropped, by reason.
    """

    messages: int
    connects: int
    deliveries: int
    bytes: int
    followers: int
    slow: int
    refused: Mapping[str, int]
    limits: Mapping[str, int]
    dropped: Mapping[str, int]


class Statistics:
    """Reads the numbers of a hub, its clients and the broker, and samples them for charts.

    Attributes:
        unready: says why the monitor cannot serve students; to be set.
    """

    def __init__(
        self,
        hub: Hub,
        connections: Connections,
        broker: BrokerSide,
        clock: Clock,
        dropped: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
        cluster: Cluster | None = None,
    ) -> None:
        """Read from these parts.

        Args:
            hub: has the channels.
            connections: has the clients' connections.
            broker: knows the broker's state.
            clock: the clock that the hub uses.
            dropped: counts of what other parts dropped, by kind and by reason.
            cluster: reports on the cluster; None without one.
        """
        self._cluster = cluster
        self.unready: Callable[[], list[str]] = list
        self._others_dropped = dict(dropped)
        self.hub = hub
        self.connections = connections
        self.broker = broker
        self.lag = 0.0
        self.clock = clock
        self.seconds = clock.seconds
        self.started = clock.seconds()
        self.samples: deque[tuple[float, float, Totals]] = deque(maxlen=SAMPLES + 1)
        self._taken = (0, 0)

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self.seconds() - self.started

    def cluster(self) -> Mapping[str, Any] | None:
        """The cluster, as ``relay.report`` describes it; None without one."""
        return self._cluster.report() if self._cluster is not None else None

    def totals(self) -> Totals:
        """The current numbers; takes about 0.2 us for each subscription, 0.03 for each channel."""
        counts = self.hub.counters
        followers = slow = 0
        deliveries, size = counts.messages, counts.bytes
        for channel in self.hub.channels.values():
            if not (subscriptions := channel.subscriptions) or channel.is_trial:
                continue
            followers += len(subscriptions)
            end, count = len(channel.log), channel.count
            for one in subscriptions:
                # Nearly all subscriptions are at the end: do not call for those.
                all_read = one.position == end
                messages, length = (
                    (count, end) if all_read and not one.start_position else read_so_far(one)
                )
                deliveries += messages
                size += length
                slow += not all_read and one.is_paused
        # A client may still read a channel that has expired; the counters get it when it leaves.
        self._taken = max(self._taken[0], deliveries), max(self._taken[1], size)
        messages, connects = sum(counts.commands.values()), sum(counts.joined.values())
        growing = (self.connections.refused.counts, counts.limits, self.broker.dropped)
        return Totals(messages, connects, *self._taken, followers, slow, *map(dict, growing))

    def sample(self) -> None:
        """Add a sample for the charts; to be called every SAMPLE seconds."""
        self.samples.append((self.seconds(), self.lag, self.totals()))
        self.lag = 0.0

    def lagged(self, lag: float) -> None:
        """Note by how many seconds the loop was late."""
        self.lag = max(self.lag, lag)

    def charts(self) -> dict[str, list[float]]:
        """Followers, rates per second and the longest lag in ms, for each sampled interval."""
        charts: dict[str, list[float]] = {
            name: [] for name in ("followers", "connects", "deliveries", "messages", "lag")
        }
        for (before, _, old), (at, lag, new) in zip(
            self.samples, islice(self.samples, 1, None), strict=False
        ):
            passed = max(at - before, 0.001)
            charts["followers"].append(new.followers)
            charts["lag"].append(round(lag * 1000, 1))
            for name in ("connects", "deliveries", "messages"):
                grown = getattr(new, name) - getattr(old, name)
                charts[name].append(round(grown / passed, 2))
        return charts

    def refused(self) -> dict[str, int]:
        """Clients refused since the oldest sample, by reason."""
        before = self.samples[0][2].refused if self.samples else {}
        return _grown(before, self.connections.refused.counts)

    def seen(self, totals: Totals) -> Seen:
        """What may be wrong with the whole, now and since the oldest sample."""
        before = self.samples[0][2] if self.samples else totals
        recent = [lag for _, lag, _ in islice(reversed(self.samples), round(60 / SAMPLE))]
        return Seen(
            unready=self.unready(),
            limits=_grown(before.limits, totals.limits),
            dropped=_grown(before.dropped, totals.dropped),
            followers=totals.followers,
            slow=totals.slow,
            late=max(self.lag, *recent) if recent else self.lag,
        )

    def states(self) -> dict[str, int]:
        """Number of channels in each state."""
        hub = self.hub
        failing, ended = len(hub.retention.failing), len(hub.retention.ended)
        running = len(hub.retention.running) - failing
        waiting = len(hub.channels) - ended - running - failing - len(hub.retention.trials)
        return {"running": running, "failing": failing, "waiting": waiting, "ended": ended}

    def add_dropped(self, what: str, counts: Mapping[str, int]) -> None:
        """Include what another part drops, by reason."""
        self._others_dropped[what] = counts

    def dropped(self) -> dict[str, int]:
        """What was dropped, refused or evicted, as counts by ``"what: reason"``."""
        parts: dict[str, Mapping[str, int]] = {
            "broker message": self.broker.dropped,
            "message": self.hub.dropped.counts,
            "client": self.connections.refused.counts,
            "channel": self.hub.retention.evicted.counts,
            **self._others_dropped,
        }
        return {
            f"{what}: {reason}": count
            for what, counts in parts.items()
            for reason, count in counts.items()
        }


def _grown(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    grown = {name: count - before.get(name, 0) for name, count in now.items()}
    return {name: count for name, count in grown.items() if count}
