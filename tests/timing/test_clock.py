"""A clock that stands still while the process is suspended."""

from twisted.internet import task
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.clock import TICK, LoopClock


class LoopClockTests(SynchronousTestCase):
    """The time of a process that is suspended and goes on."""

    def setUp(self) -> None:
        """Make a clock."""
        self.reactor = task.Clock()
        self.clock = LoopClock(self.reactor)

    def passed(self, seconds: float) -> float:
        """Let the reactor's time pass, then tick; returns the seconds by which the clock moved."""
        before = self.clock.seconds()
        self.reactor.advance(seconds)
        self.clock.tick()
        return self.clock.seconds() - before

    def test_ordinary_time(self) -> None:
        """With ticks on time, or at most two ticks late, it is the reactor's time."""
        for seconds in (TICK, 0.5, 1.5 * TICK, 2 * TICK):
            self.assertAlmostEqual(self.passed(seconds), seconds)

    def test_between_ticks(self) -> None:
        """The clock goes on between ticks."""
        self.reactor.advance(0.25)
        self.assertEqual(self.clock.seconds(), 0.25)

    def test_suspended(self) -> None:
        """A minute of suspension counts as two ticks, and the next tick does not change that."""
        self.reactor.advance(60)
        self.assertEqual(self.clock.seconds(), 2 * TICK)
        self.clock.tick()
        self.assertEqual(self.clock.seconds(), 2 * TICK)
        self.assertAlmostEqual(self.passed(TICK), TICK)

    def test_calls(self) -> None:
        """Delayed calls are the reactor's own."""
        called: list[int] = []
        self.clock.callLater(5, lambda: called.append(1))
        self.reactor.advance(5)
        self.assertEqual(called, [1])
