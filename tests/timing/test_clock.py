"""Time as the reactor lives it."""

from twisted.internet import task
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.clock import TICK, LoopClock


class LoopClockTests(SynchronousTestCase):
    """A clock that stands still while the process is stopped."""

    def setUp(self) -> None:
        """A clock at its beginning."""
        self.reactor = task.Clock()
        self.clock = LoopClock(self.reactor)

    def lived(self, seconds: float) -> float:
        """Let the reactor's time pass, then tick; returns what the clock made of it."""
        before = self.clock.seconds()
        self.reactor.advance(seconds)
        self.clock.tick()
        return self.clock.seconds() - before

    def test_ordinary_time(self) -> None:
        """With ticks in time, and somewhat late ones, it is the reactor's time."""
        for seconds in (TICK, 0.5, 1.5 * TICK, 2 * TICK):
            self.assertAlmostEqual(self.lived(seconds), seconds)

    def test_between_ticks(self) -> None:
        """It goes on between ticks."""
        self.reactor.advance(0.25)
        self.assertEqual(self.clock.seconds(), 0.25)

    def test_stopped(self) -> None:
        """A minute in which nothing ran counts as two ticks, before and after the next one."""
        self.reactor.advance(60)
        self.assertEqual(self.clock.seconds(), 2 * TICK)
        self.clock.tick()
        self.assertEqual(self.clock.seconds(), 2 * TICK)
        self.assertAlmostEqual(self.lived(TICK), TICK)

    def test_calls(self) -> None:
        """Calls are made in the reactor's time."""
        called: list[int] = []
        self.clock.callLater(5, lambda: called.append(1))
        self.reactor.advance(5)
        self.assertEqual(called, [1])
