"""The engine as an endpoint: why it cannot be used is logged, once."""

from typing import Any, cast

from twisted.internet.protocol import Factory, Protocol
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from recodex_monitor.relay.connection import EngineAway
from recodex_monitor.relay.endpoint import EngineEndpoint
from tests.relay.support import PartTestCase
from tests.support.fake_engine import FakeDialer


class EndpointTests(PartTestCase):
    """Attempts to connect."""

    def setUp(self) -> None:
        """Make the endpoint."""
        super().setUp()
        dialer: Any = FakeDialer(self.server, self.keys, self.clock)
        self.dialer = dialer
        self.endpoint = EngineEndpoint(dialer)
        self.told: list[LogEvent] = []
        observer = cast("ILogObserver", self.told.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def test_away(self) -> None:
        """It is logged once for each outage."""
        for _ in range(2):
            self.dialer.is_cut = True
            for _ in range(3):
                self.failureResultOf(self.endpoint.connect(Factory()), EngineAway)
            self.assertEqual(self.endpoint.why, "refused")
            self.dialer.is_cut = False
            connecting = self.endpoint.connect(Factory.forProtocol(Protocol))
            self.successResultOf(connecting)
            self.assertEqual(self.endpoint.why, "")
        whys = [one["why"] for one in self.told if one.get("event") == "engine_unusable"]
        self.assertEqual(whys, ["refused"] * 2)

    def test_lost(self) -> None:
        """Whoever is connected is told once when one of the connections is lost."""
        lost: list[bool] = []

        class Handle(Protocol):
            def connectionLost(self, reason: Any = None) -> None:
                lost.append(True)

        self.successResultOf(self.endpoint.connect(Factory.forProtocol(Handle)))
        self.dialer.opened[1].abort()
        self.assertEqual((lost, self.dialer.opened[0].connected), ([True], 0))
