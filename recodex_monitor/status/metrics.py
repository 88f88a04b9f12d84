"""The monitor's metrics, for Prometheus and whatever else reads its formats.

Counters of other parts are read on each scrape; only the two histograms are kept here.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import (
    GC_COLLECTOR,
    CollectorRegistry,
    Histogram,
    ProcessCollector,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)

from recodex_monitor.status import cluster
from recodex_monitor.status.exposition import Exposition, expose
from recodex_monitor.status.statistics import Statistics, Totals

PREFIX = "recodex_monitor_"

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """A registry with all of the monitor's metrics.

    Attributes:
        delay: seconds from reading a message to writing it to all followers.
        lag: seconds by which the event loop was late.
    """

    def __init__(self, statistics: Statistics, version: str) -> None:
        """Read from the statistics.

        Args:
            statistics: has the numbers.
            version: of the monitor.
        """
        self._statistics = statistics
        self._version = version
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._registry.register(GC_COLLECTOR)
        ProcessCollector(registry=self._registry)
        self.delay = self._histogram(
            "delivery_delay_seconds",
            "Time from reading the broker's messages to writing them to all followers.",
        )
        self.lag = self._histogram("loop_lag_seconds", "How late the event loop called a timer.")

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(PREFIX + name, text, buckets=_BUCKETS, registry=self._registry)

    def expose(self, accept: str = "") -> Exposition:
        """All metrics in the format that a header Accept prefers; see ``exposition``."""
        return expose(self._registry, accept)

    def describe(self) -> list[Metric]:
        """Called by the registry: describes nothing in advance, ``collect`` has all metrics."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Called by the registry when somebody asks."""
        totals = self._statistics.totals()
        yield from self._gauges(totals)
        yield from self._counters(totals)
        yield from self._labelled()
        told = self._statistics.cluster()
        if told is not None:
            yield from _of_cluster(told)

    def _gauges(self, totals: Totals) -> Iterator[Metric]:
        statistics, peers = self._statistics, self._statistics.broker.peers
        name, version = PREFIX.rstrip("_"), {"version": self._version}
        yield InfoMetricFamily(name, "The version.", value=version)
        yield _gauge("broker_peers", "Connections from brokers.", peers.connected)
        yield _gauge("followers", "Clients that follow a channel.", totals.followers)
        yield _gauge("slow_followers", "Followers that are paused and behind.", totals.slow)
        connections = len(statistics.connections.clients)
        yield _gauge("connections", "Open connections to the public port.", connections)
        yield _gauge(
            "history_bytes", "Bytes of all channels.", statistics.hub.retention.history_bytes
        )
        last = statistics.hub.counters.last
        silent = statistics.seconds() - (statistics.started if last is None else last)
        yield _gauge(
            "broker_silence_seconds", "Time since the last message from the broker.", silent
        )
        states = GaugeMetricFamily(
            PREFIX + "channels", "Channels that are kept, by state.", labels=("state",)
        )
        for state, count in statistics.states().items():
            states.add_metric((state,), count)
        yield states

    def _counters(self, totals: Totals) -> Iterator[Metric]:
        peers = self._statistics.broker.peers
        yield _counter("deliveries", "Messages delivered to clients.", totals.deliveries)
        yield _counter(
            "delivered_bytes", "Bytes of delivered messages, as in the history.", totals.bytes
        )
        yield _counter("broker_connects", "Connections from brokers.", peers.count)
        text = "Handshakes that failed at the broker's port."
        yield _counter("broker_handshake_failures", text, peers.failures)

    def _labelled(self) -> Iterator[Metric]:
        statistics, counts = self._statistics, self._statistics.hub.counters
        yield _by("messages", "Messages from the broker.", ("command",), one(counts.commands))
        yield _by(
            "joins", "Subscriptions of clients that began.", ("transport",), one(counts.joined)
        )
        text = "Connections that ended, by transport and close code."
        gone = counts.gone.items()
        yield _by("closes", text, ("transport", "code"), gone)
        yield _by("ends", "Channels that ended.", ("reason",), one(counts.ends))
        text = "Jobs whose channels ended, by how they went."
        yield _by("outcomes", text, ("outcome",), one(counts.outcomes))
        yield _by("limits_reached", "Times a limit was reached.", ("limit",), one(counts.limits))
        dropped = [(tuple(key.split(": ", 1)), n) for key, n in statistics.dropped().items()]
        text = "What was dropped, refused or evicted."
        yield _by("dropped", text, ("what", "reason"), dropped)


def _of_cluster(told: Mapping[str, Any]) -> Iterator[Metric]:
    for name, (text, read) in cluster.GAUGES.items():
        yield _gauge(name, text, read(told))
    for name, text in cluster.COUNTERS.items():
        yield _counter(f"cluster_{name}", text, told["counts"][name])


def one(counts: Mapping[str, int]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Counters by one label."""
    return (((label,), count) for label, count in counts.items())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _by(
    name: str, text: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], int]]
) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family
