"""Throttled counts: what was dropped is counted by reason, and logged once a minute."""

from collections import Counter
from collections.abc import Callable

from twisted.logger import Logger

LOG_INTERVAL = 60.0
"""Seconds between two log lines for the same reason, at least."""

MAX_DETAIL = 500
"""Characters that are kept of what describes the last one of each reason."""


class ThrottledCounts:
    """Counts by reason; a flood of bad input makes one log line a minute for each reason.

    Attributes:
        counts: by reason, since the start.
        details: what describes the last one of each reason.
    """

    def __init__(self, log: Logger, what: str, now: Callable[[], float]) -> None:
        """Begin with nothing counted.

        Args:
            log: gets the warnings.
            what: the name of one dropped thing in them, as "broker message".
            now: tells the time in seconds, from any origin.
        """
        self.counts: Counter[str] = Counter()
        self.details: dict[str, str] = {}
        self._log = log
        self._what = what
        self._now = now
        # When each reason was logged last, and its count then.
        self._logged: dict[str, tuple[float, int]] = {}

    def add(self, reason: str, detail: object) -> None:
        """Count one that was dropped.

        Args:
            reason: one of a few fixed texts.
            detail: describes this one in the log; its text must be printable.
        """
        self.counts[reason] += 1
        self.details[reason] = str(detail)[:MAX_DETAIL]
        now = self._now()
        logged_at, logged = self._logged.get(reason, (now - LOG_INTERVAL, 0))
        if now - logged_at >= LOG_INTERVAL:
            self._logged[reason] = (now, self.counts[reason])
            self._log.warn(
                "dropped {count} {what}(s), the last because of {detail}",
                event="dropped",
                reason=reason,
                count=self.counts[reason] - logged,
                what=self._what,
                detail=detail,
            )
