"""Throttled counts, and their lines in the log."""

from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.throttle import LOG_INTERVAL, ThrottledCounts


class ThrottledCountsTests(SynchronousTestCase):
    """Everything is counted, and little is logged."""

    def setUp(self) -> None:
        """Begin with nothing counted."""
        self.clock = Clock()
        self.events = self.enterContext(capturedLogs())
        self.dropped = ThrottledCounts(Logger(), "message", self.clock.seconds)

    def lines(self) -> list[str]:
        """The lines of the log so far."""
        return [formatEvent(event) for event in self.events]

    def test_counts_by_reason(self) -> None:
        """Each drop is counted by its reason."""
        for reason in ("late", "odd", "late"):
            self.dropped.add(reason, "detail")
        self.assertEqual(self.dropped.counts, {"late": 2, "odd": 1})

    def test_first_is_logged(self) -> None:
        """The first of a reason is logged as a warning, its detail with braces and all."""
        self.dropped.add("late", "job {0} {x}")
        self.dropped.add("odd", "another")
        self.assertEqual(
            self.lines(),
            [
                "dropped 1 message(s), the last because of job {0} {x}",
                "dropped 1 message(s), the last because of another",
            ],
        )
        self.assertEqual(self.events[0]["log_level"], LogLevel.warn)

    def test_flood_is_one_line(self) -> None:
        """A reason is logged once in LOG_INTERVAL; the next line counts what was not logged."""
        for number in range(5):
            self.dropped.add("late", number)
        self.clock.advance(LOG_INTERVAL - 1)
        self.dropped.add("late", 5)
        self.assertEqual(len(self.lines()), 1)
        self.clock.advance(1)
        self.dropped.add("late", 6)
        self.assertEqual(self.lines()[1:], ["dropped 6 message(s), the last because of 6"])
