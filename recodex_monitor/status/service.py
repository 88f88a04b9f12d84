"""Listens for administrators while the monitor runs, and takes samples for the charts."""

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from recodex_monitor.network.listener import PublicPort
from recodex_monitor.settings.endpoints import Address, Endpoint
from recodex_monitor.settings.schema import Limits
from recodex_monitor.status.inspection import SAMPLE, View
from recodex_monitor.status.site import Status

_log = Logger()

REFRESH = 2.0
"""Seconds between two events of the page."""

BEAT = 0.5
"""Seconds between two looks at how late the loop is."""


class StatusService(Service):
    """Listens while it runs, and looks at the monitor now and then."""

    def __init__(
        self,
        address: Endpoint,
        status: Status,
        view: View,
        reactor: Any,
        lagged: Callable[[float], object],
    ) -> None:
        """Make a service that is not listening yet.

        Args:
            address: where to listen.
            status: answers.
            view: is told of samples and of lags.
            reactor: waits, and tells the time.
            lagged: called with each lag of the loop in seconds.
        """
        self._port = PublicPort(address, Limits(), status, reactor)
        self._status = status
        self._view = view
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
        try:
            self._port.startService()
        except OSError as error:
            text = (error.strerror or "").replace("for browsers", "for the status page")
            raise OSError(error.errno, text) from None
        self._view.sample()
        self._next()
        super().startService()

    def stopService(self) -> "Deferred[Any]":
        """Listen no more, and end all connections."""
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._status.close()
        return self._port.stopService()

    def _next(self) -> None:
        self._call = self._reactor.callLater(BEAT, self._beat, self._reactor.seconds() + BEAT)

    def _beat(self, due: float) -> None:
        lag = self._reactor.seconds() - due
        self._next()
        self._beats += 1
        try:
            self._view.lagged(lag)
            self._lagged(lag)
            if self._beats % round(SAMPLE / BEAT) == 0:
                self._view.sample()
            if self._beats % round(REFRESH / BEAT) == 0:
                self._status.tell()
        except Exception:
            _log.failure("looking at the monitor failed")


def names_of(address: Endpoint, hosts: tuple[str, ...]) -> list[str]:
    """By which names a listener is called."""
    return [address.host, *hosts] if isinstance(address, Address) else list(hosts)
