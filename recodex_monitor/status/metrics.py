"""The monitor's numbers, as Prometheus reads them.

What others count already is read when somebody asks; only the two histograms are kept here.
"""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import (
    GC_COLLECTOR,
    CollectorRegistry,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from recodex_monitor.status.inspection import Totals, View

PREFIX = "recodex_monitor_"

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """A registry with all numbers.

    Attributes:
        delay: seconds from a message's reading to its having been written to all followers.
        lag: seconds that the loop came too late to something.
    """

    content_type = CONTENT_TYPE_LATEST.encode()

    def __init__(self, view: View, version: str) -> None:
        """Read from a view.

        Args:
            view: has the numbers.
            version: of the monitor.
        """
        self._view = view
        self._version = version
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._registry.register(GC_COLLECTOR)
        ProcessCollector(registry=self._registry)
        self.delay = self._histogram(
            "delivery_delay_seconds",
            "Time from reading messages of the broker to having written them to all followers.",
        )
        self.lag = self._histogram("loop_lag_seconds", "How much too late the loop was.")

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(PREFIX + name, text, buckets=_BUCKETS, registry=self._registry)

    def text(self) -> bytes:
        """All of it in Prometheus' format."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Called by the registry; what there is stands only in collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Called by the registry when somebody asks."""
        totals = self._view.totals()
        yield from self._gauges(totals)
        yield from self._counters(totals)
        yield from self._labelled()

    def _gauges(self, totals: Totals) -> Iterator[Metric]:
        view, peers = self._view, self._view.broker.peers
        info = GaugeMetricFamily(PREFIX + "info", "The version.", labels=("version",))
        info.add_metric((self._version,), 1)
        yield info
        yield _gauge("broker_peers", "Connections of brokers.", peers.connected)
        yield _gauge("followers", "Clients that follow a channel.", totals.followers)
        yield _gauge("slow_followers", "Of them, who do not take what is due.", totals.slow)
        connections = len(view.reception.connections)
        yield _gauge("connections", "Open connections at the public port.", connections)
        yield _gauge("history_bytes", "Bytes of all channels.", view.hub.history_bytes)
        last = view.hub.counts.last
        silent = view.seconds() - (view.started if last is None else last)
        yield _gauge("broker_silence_seconds", "Time since a message of the broker.", silent)
        states = GaugeMetricFamily(
            PREFIX + "channels", "Channels that are kept, by state.", labels=("state",)
        )
        for state, count in view.states().items():
            states.add_metric((state,), count)
        yield states

    def _counters(self, totals: Totals) -> Iterator[Metric]:
        peers = self._view.broker.peers
        yield _counter("deliveries", "Messages that clients got.", totals.deliveries)
        yield _counter("delivered_bytes", "Bytes of them, as in the history.", totals.bytes)
        yield _counter("broker_connects", "Connections of brokers.", peers.count)
        text = "Handshakes that failed at the broker's port."
        yield _counter("broker_handshake_failures", text, peers.failures)

    def _labelled(self) -> Iterator[Metric]:
        view, counts = self._view, self._view.hub.counts
        yield _by("messages", "Messages of the broker.", ("command",), one(counts.commands))
        yield _by("joins", "Clients that began to follow.", ("transport",), one(counts.joined))
        text = "Connections that ended, by transport and close code."
        gone = counts.gone.items()
        yield _by("closes", text, ("transport", "code"), gone)
        yield _by("ends", "Channels that ended.", ("reason",), one(counts.ends))
        yield _by("limits_reached", "Times a limit was reached.", ("limit",), one(counts.limits))
        dropped = [(tuple(key.split(": ", 1)), n) for key, n in view.dropped().items()]
        text = "What was dropped, refused or let go."
        yield _by("dropped", text, ("what", "reason"), dropped)


def one(counts: Mapping[str, int]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Counts by one label."""
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
