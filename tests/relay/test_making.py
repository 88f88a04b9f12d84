"""A relay from the settings, or what is missing for it."""

import sys
from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.hub import Hub
from recodex_monitor.relay import dialing, relay
from recodex_monitor.relay.making import make_relay
from recodex_monitor.settings.engines import EngineAddress
from recodex_monitor.settings.schema import Cluster, ConfigError, LiveSettings, Settings
from recodex_monitor.timing.clock import LoopClock

IMPORTED = dialing, relay
"""What is imported before anything is missing."""


class MakingTests(SynchronousTestCase):
    """What is installed."""

    def make(self, *, tls: bool) -> Any:
        """Make a relay for an engine."""
        reactor = Clock()
        clock = LoopClock(reactor)
        settings = Settings(cluster=Cluster((EngineAddress("a", tls=tls),)))
        live = LiveSettings(settings.channels, settings.limits)
        return make_relay(settings, live, Hub(clock, live), clock, reactor, "2.1")

    def test_no_tls(self) -> None:
        """An engine by TLS is refused at the start where TLS is not installed; others are not."""
        with mock.patch.dict(sys.modules, {"twisted.internet.ssl": None}):
            self.make(tls=False)
            error = self.assertRaises(ConfigError, self.make, tls=True)
        self.assertIn("recodex-monitor[tls]", error.problems[0])

    def test_tls(self) -> None:
        """Where it is installed, such an engine can be used."""
        self.assertEqual(self.make(tls=True).about.engine, "rediss://a:6379")
