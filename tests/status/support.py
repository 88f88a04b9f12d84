"""What the tests of the status share: a monitor's parts in memory and an inspection of them."""

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker.peers import Peers
from recodex_monitor.status.inspection import Inspection
from recodex_monitor.status.jobs import Query
from recodex_monitor.status.statistics import Statistics
from tests.support.clients import Browser, service
from tests.support.messages import message

WALL = 1_000_000.0
"""The wall clock's time at the start."""


class Broker:
    """The broker's side, as the statistics want it."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.dropped: Mapping[str, int] = {"no command frame": 2}
        self.addresses: list[Any] = ["127.0.0.1:7894"]


class InspectionTestCase(SynchronousTestCase):
    """A hub, browsers, and an inspection of them."""

    def setUp(self) -> None:
        """Inspect from the start on."""
        self.clock, self.hub, self.side = service(max_connections=2)
        self.broker = Broker(Peers(self.clock.seconds))
        parts = (self.hub, self.side.connections, self.broker, self.clock)
        self.statistics = Statistics(*parts)
        self.inspection = self.inspect()

    def inspect(self, **options: Any) -> Inspection:
        """An inspection of the same monitor with other options."""
        wall = lambda: WALL + self.clock.seconds()  # noqa: E731
        return Inspection(self.statistics, settings={}, wall=wall, **options)

    def say(self, channel_id: str, *texts: str) -> None:
        """Let the broker send messages, each as its frames with spaces in between."""
        self.hub.publish([message(channel_id, *text.split()) for text in texts])

    def follow(self, channel_id: str, query: str = "x=1") -> Browser:
        """A browser that follows a channel."""
        browser = Browser(self.side)
        browser.follow(channel_id, query)
        return browser

    def listed(self, **query: Any) -> dict[str, Any]:
        """The jobs that a query finds."""
        found: list[dict[str, Any]] = []
        self.inspection.list_jobs(Query(**query), found.append)
        while not found:
            self.clock.advance(0)
        return found[0]

    def rows(self, **query: Any) -> list[dict[str, Any]]:
        """The rows of those jobs."""
        rows: list[dict[str, Any]] = self.listed(**query)["channels"]
        return rows
