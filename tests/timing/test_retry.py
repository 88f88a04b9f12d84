"""Retries of something that fails."""

from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.timing.retry import RETRY_DELAY, Retry


class RetryTests(SynchronousTestCase):
    """Failures, and when to try again."""

    def test_logged_once(self) -> None:
        """The log has the first failure with its reason, then the success, and nothing between."""
        retry = Retry(Logger(), Clock(), "write", "cannot write", "can write")
        with capturedLogs() as events:
            retry.succeeded()
            for why in ("no {disk}", "no paper"):
                retry.failed(why)
            retry.succeeded()
            retry.succeeded()
        self.assertEqual([*map(formatEvent, events)], ["cannot write: no {disk}", "can write"])

    def test_tried_again(self) -> None:
        """The next attempt may come RETRY_DELAY seconds after the last failure."""
        clock = Clock()
        retry = Retry(Logger(), clock, "", "", "")
        self.assertTrue(retry.may_try)
        for _ in range(2):
            retry.failed("")
            clock.advance(RETRY_DELAY - 1)
            self.assertFalse(retry.may_try)
            clock.advance(1)
            self.assertTrue(retry.may_try)
        self.assertTrue(retry.is_failing)
        retry.succeeded()
        self.assertFalse(retry.is_failing)
