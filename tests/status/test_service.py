"""The service that runs the private listener."""

from twisted.application.service import Service

from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.status.access import Access
from recodex_monitor.status.probes import Probes
from recodex_monitor.status.resources import Answer
from recodex_monitor.status.service import BEAT, StatusService, names_of
from recodex_monitor.status.site import StatusSite
from recodex_monitor.status.statistics import SAMPLE
from tests.status.support import InspectionTestCase


class StatusServiceTests(InspectionTestCase):
    """What it does while it runs."""

    def make(self, file: str) -> StatusService:
        """A service that would listen at a socket file."""
        self.lags: list[float] = []
        access = Access([], None)
        probes = Probes(list, lambda: True)
        site = StatusSite(self.inspection, access, probes, lambda _: Answer(200, b""), self.clock)
        address = SocketFile(file, "unix")
        return StatusService(address, site, self.statistics, self.clock, self.lags.append)

    def test_names_its_purpose(self) -> None:
        """An address that cannot be bound is reported as the status page's."""
        made = self.make(f"{self.mktemp()}/missing/status.sock")
        error = self.assertRaises(OSError, made.startService)
        self.assertIn("cannot listen for the status page on", str(error))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_samples(self) -> None:
        """It samples at the start and every 10 s, measures the lag, and stops with the service."""
        made = self.make("unused")
        self.patch(made, "_port", Service())
        calls = len(self.clock.getDelayedCalls())
        made.startService()
        for _ in range(round(SAMPLE / BEAT)):
            self.clock.advance(BEAT)
        self.assertEqual(len(self.statistics.samples), 2)
        self.clock.advance(BEAT + 0.25)
        self.assertAlmostEqual(self.lags[-1], 0.25)
        made.stopService()
        self.assertEqual(len(self.clock.getDelayedCalls()), calls)


class NameTests(InspectionTestCase):
    """Names by which clients may address the listener."""

    def test_names(self) -> None:
        """The host of the address and the configured hosts; a socket file has no host."""
        self.assertEqual(names_of(Address("127.0.0.1", 1), ("a",)), ["127.0.0.1", "a"])
        self.assertEqual(names_of(SocketFile("x", "unix"), ("a",)), ["a"])
