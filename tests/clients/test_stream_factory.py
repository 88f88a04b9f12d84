"""Streams whose time is up."""

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.access import Access
from recodex_monitor.clients.announcements import Announcements
from recodex_monitor.clients.following import Shared
from recodex_monitor.clients.snapshots import MAX_WAIT
from recodex_monitor.clients.stream_factory import RETRY_DELAY, StreamFactory
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.throttle import ThrottledCounts
from tests.support.settings import change, live


def _factory(settings: LiveSettings, clock: Clock) -> StreamFactory:
    hub = Hub(clock, settings)
    announcements = Announcements(hub, clock.seconds, lambda: True)
    refused = ThrottledCounts(Logger(), "client", clock.seconds)
    shared = Shared(*(hub, announcements, settings, clock, refused, Access(clock, refused)))
    return StreamFactory(hub, settings, clock, shared)


class FakeStream:
    """Records when its time was up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.times: list[float] = []

    def timed_out(self) -> None:
        """Called by the factory."""
        self.times.append(self._clock.seconds())


class RetryDelayTests(SynchronousTestCase):
    """When an EventSource is told to come back."""

    def test_jitter(self) -> None:
        """The times are spread over the whole range, so that not all clients come at once."""
        clock, settings = Clock(), live()
        factory = _factory(settings, clock)
        delays = [factory.retry_delay() for _ in range(1000)]
        self.assertGreaterEqual(min(delays), RETRY_DELAY[0])
        self.assertLessEqual(max(delays), RETRY_DELAY[1])
        self.assertGreater(len(set(delays)), 500)


class SweepTests(SynchronousTestCase):
    """Sweeps every second."""

    def setUp(self) -> None:
        """Make a factory."""
        self.clock = Clock()
        self.settings = live(event_comment=15)
        self.factory = _factory(self.settings, self.clock)
        self.stream = FakeStream(self.clock)

    def pass_time(self, seconds: int) -> None:
        """Let time pass, with a sweep every second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.factory.sweep()

    def test_polls(self) -> None:
        """A long poll is called once, after the seconds that it waits."""
        for wait in (1, 30, MAX_WAIT):
            self.stream.times.clear()
            now = self.clock.seconds()
            self.factory.polls[wait].put(cast("Any", self.stream), now)
            self.pass_time(2 * MAX_WAIT)
            self.assertEqual(self.stream.times, [now + wait])

    def test_comments(self) -> None:
        """A silent event stream is called after the time of the settings, which may change."""
        self.factory.silent.put(cast("Any", self.stream), 0)
        self.pass_time(14)
        self.assertEqual(self.stream.times, [])
        change(self.settings, event_comment=20)
        self.pass_time(5)
        self.assertEqual(self.stream.times, [])
        self.pass_time(1)
        self.assertEqual(self.stream.times, [20])
