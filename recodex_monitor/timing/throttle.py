"""What had to be dropped: counted by reason, and logged once in a while."""

from collections import Counter
from collections.abc import Callable

from twisted.logger import Logger

SILENCE = 60.0
"""Seconds between two lines in the log for the same reason."""


class Dropped:
    """Counts by reason; a flood of bad input costs a line a minute and reason."""

    def __init__(self, log: Logger, what: str, now: Callable[[], float]) -> None:
        """Count things called ``what`` (as "broker message"), and tell ``log`` about them.

        Args:
            log: whose warnings they become.
            what: what one of the dropped things is called in the log.
            now: the time in seconds, from any origin.
        """
        self.counts: Counter[str] = Counter()
        self._log = log
        self._what = what
        self._now = now
        self._told: dict[str, tuple[float, int]] = {}

    def add(self, reason: str, detail: object) -> None:
        """One more was dropped.

        Args:
            reason: one of few, known beforehand.
            detail: says more about this one; its text must be printable.
        """
        self.counts[reason] += 1
        now = self._now()
        told_at, told = self._told.get(reason, (now - SILENCE, 0))
        if now - told_at >= SILENCE:
            self._told[reason] = (now, self.counts[reason])
            self._log.warn(
                "dropped {count} {what}(s), the last because of {detail}",
                count=self.counts[reason] - told,
                what=self._what,
                detail=detail,
            )
