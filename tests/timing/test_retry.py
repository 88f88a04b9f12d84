"""What fails and is tried again."""

from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.retry import RETRY, Trouble


class TroubleTests(SynchronousTestCase):
    """Trouble begins and ends."""

    def test_told_once(self) -> None:
        """The log tells when it begins, with the reason, and when it ends, and nothing between."""
        trouble = Trouble(Logger(), Clock(), "cannot write", "can write")
        with capturedLogs() as events:
            trouble.passed()
            for why in ("no {disk}", "no paper"):
                trouble.failed(why)
            trouble.passed()
            trouble.passed()
        self.assertEqual([*map(formatEvent, events)], ["cannot write: no {disk}", "can write"])

    def test_tried_again(self) -> None:
        """It may be tried again RETRY seconds after the last failure."""
        clock = Clock()
        trouble = Trouble(Logger(), clock, "", "")
        self.assertTrue(trouble.may_try)
        for _ in range(2):
            trouble.failed("")
            clock.advance(RETRY - 1)
            self.assertFalse(trouble.may_try)
            clock.advance(1)
            self.assertTrue(trouble.may_try)
        self.assertTrue(trouble)
        trouble.passed()
        self.assertFalse(trouble)
