"""A private listener in memory, and its clients."""

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker.peers import Peers
from recodex_monitor.status.access import Access
from recodex_monitor.status.inspection import Inspection
from recodex_monitor.status.probes import Probes
from recodex_monitor.status.resources import Answer
from recodex_monitor.status.site import StatusSite
from recodex_monitor.status.statistics import Statistics
from tests.support.clients import Transport, service
from tests.support.http import Answer as Got
from tests.support.http import answer
from tests.support.messages import message


class Broker:
    """A broker's side without a broker."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.dropped: Mapping[str, int] = {}
        self.addresses: list[Any] = []


class Client:
    """A connection to the listener."""

    def __init__(self, site: StatusSite) -> None:
        self.server = site.buildProtocol(None)
        self.transport = Transport(self.server, isServer=True)
        if self.server is not None:
            self.server.makeConnection(self.transport)

    def ask(self, line: str, *headers: str, host: str = "localhost", body: str = "") -> Got:
        """Send a request, given by method and path; returns the answer."""
        assert self.server is not None
        head = "\r\n".join((f"{line} HTTP/1.1", f"Host: {host}", *headers, "", ""))
        self.server.dataReceived((head + body).encode())
        return answer(self.take())

    def take(self) -> bytes:
        """What has come."""
        taken = b"".join(self.transport.stream)
        self.transport.stream.clear()
        return taken


class StatusTestCase(SynchronousTestCase):
    """A listener with one job."""

    token: str | None = None

    def setUp(self) -> None:
        """Make it."""
        self.clock, self.hub, side = service()
        broker = Broker(Peers(self.clock.seconds))
        statistics = Statistics(self.hub, side.connections, broker, self.clock)
        self.inspection = Inspection(statistics, settings={})
        self.why: list[str] = []
        self.owns = True
        access = Access(["127.0.0.1"], self.token)
        scrape = lambda accept: Answer(200, f"up {accept}\n".encode(), b"text/plain")  # noqa: E731
        probes = Probes(lambda: self.why, lambda: self.owns)
        self.site = StatusSite(self.inspection, access, probes, scrape, self.clock)
        self.hub.publish([message("job", "STARTED")])

    def get(self, path: str, *headers: str, host: str = "localhost") -> Got:
        """What is answered to a request on a connection of its own."""
        return Client(self.site).ask(f"GET {path}", *headers, host=host)
