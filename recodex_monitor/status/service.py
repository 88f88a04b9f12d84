"""The service that runs the private listener and measures the loop's lag."""

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from recodex_monitor.network.listener import Listener
from recodex_monitor.settings.endpoints import Address, Endpoint
from recodex_monitor.settings.schema import LiveSettings, Settings
from recodex_monitor.status.access import Access
from recodex_monitor.status.inspection import Inspection
from recodex_monitor.status.metrics import Metrics
from recodex_monitor.status.probes import Probes
from recodex_monitor.status.resources import Answer
from recodex_monitor.status.site import StatusSite
from recodex_monitor.status.statistics import SAMPLE, Statistics

_log = Logger()

REFRESH = 2.0
"""Seconds between two events to a page."""

BEAT = 0.5
"""Seconds between two measurements of the loop's lag."""


class StatusService(Service):
    """Listens while it runs, samples the statistics and sends events to open pages."""

    def __init__(
        self,
        address: Endpoint,
        site: StatusSite,
        statistics: Statistics,
        reactor: Any,
        lagged: Callable[[float], object],
    ) -> None:
        """Make a service that is not listening yet.

        Args:
            address: where to listen.
            site: answers requests.
            statistics: is sampled, and gets the lags.
            reactor: listens, and has the time.
            lagged: called with each measured lag of the loop in seconds.
        """
        self._port = Listener(address, LiveSettings(), site, reactor, purpose="the status page")
        self._site = site
        self._statistics = statistics
        self._reactor = reactor
        self._lagged = lagged
        self._call: Any = None
        self._beats = 0

    @property
    def addresses(self) -> list[Endpoint]:
        """Where it listens."""
        return self._port.addresses

    def startService(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be bound.
        """
        self._port.startService()
        self._statistics.sample()
        self._next()
        super().startService()

    def stopService(self) -> "Deferred[Any]":
        """Stop listening and end all connections."""
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._site.close()
        return self._port.stopService()

    def _next(self) -> None:
        self._call = self._reactor.callLater(BEAT, self._beat, self._reactor.seconds() + BEAT)

    def _beat(self, due: float) -> None:
        lag = self._reactor.seconds() - due
        self._next()
        self._beats += 1
        try:
            self._statistics.lagged(lag)
            self._lagged(lag)
            if self._beats % round(SAMPLE / BEAT) == 0:
                self._statistics.sample()
            if self._beats % round(REFRESH / BEAT) == 0:
                self._site.events.tell()
        except Exception:
            _log.failure("sampling the statistics failed")


def names_of(address: Endpoint, hosts: tuple[str, ...]) -> list[str]:
    """The host names by which clients may address a listener."""
    return [address.host, *hosts] if isinstance(address, Address) else list(hosts)


def make_service(
    settings: Settings,
    statistics: Statistics,
    inspection: Inspection,
    probes: Probes,
    version: str,
    reactor: Any,
) -> StatusService:
    """The private listener of these settings, whose ``status_uri`` must be set.

    Args:
        settings: say where to listen, by which names, and with which token.
        statistics: has the numbers; gets what the probes know.
        inspection: has what the page shows.
        probes: answer balancers and other nodes.
        version: of the monitor, for the metrics.
        reactor: listens, and has the time.
    """
    assert settings.status_uri is not None
    metrics = Metrics(statistics, version)
    statistics.unready = probes.unready
    hosts = names_of(settings.status_uri, settings.status_hosts)

    def scrape(accept: str) -> Answer:
        return Answer(200, *metrics.expose(accept), ((b"Vary", b"Accept"),))

    def lagged(lag: float) -> None:
        metrics.lag.observe(max(0, lag))
        # The hub clears this after one observation: the delay is sampled once per beat.
        statistics.hub.on_delivered = metrics.delay.observe

    access = Access(hosts, settings.status_token)
    site = StatusSite(inspection, access, probes, scrape, reactor)
    statistics.add_dropped("status client", site.refused.counts)
    return StatusService(settings.status_uri, site, statistics, reactor, lagged)
