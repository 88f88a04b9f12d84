"""What had to be dropped is counted, and told once in a while."""

from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.throttle import SILENCE, Dropped


class DroppedTests(SynchronousTestCase):
    """Counts and lines in the log."""

    def setUp(self) -> None:
        """Nothing was dropped so far."""
        self.clock = Clock()
        self.events = self.enterContext(capturedLogs())
        self.dropped = Dropped(Logger(), "message", self.clock.seconds)

    def lines(self) -> list[str]:
        """The lines of the log so far."""
        return [formatEvent(event) for event in self.events]

    def test_counts_by_reason(self) -> None:
        """Everything is counted, by its reason."""
        for reason in ("late", "odd", "late"):
            self.dropped.add(reason, "detail")
        self.assertEqual(self.dropped.counts, {"late": 2, "odd": 1})

    def test_first_is_told(self) -> None:
        """The first of a reason is a warning with its detail, whatever characters it has."""
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
        """Within the silence a reason is told once; the next line counts what was not told."""
        for number in range(5):
            self.dropped.add("late", number)
        self.clock.advance(SILENCE - 1)
        self.dropped.add("late", 5)
        self.assertEqual(len(self.lines()), 1)
        self.clock.advance(1)
        self.dropped.add("late", 6)
        self.assertEqual(self.lines()[1:], ["dropped 6 message(s), the last because of 6"])
