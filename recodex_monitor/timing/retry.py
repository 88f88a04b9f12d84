"""What fails, and is tried again from time to time."""

from twisted.logger import Logger

from recodex_monitor.timing.clock import Clock

RETRY = 5.0
"""Seconds from a failure to the next attempt."""


class Trouble:
    """Something that may fail: the log says when it begins to, and when it works again."""

    def __init__(self, log: Logger, clock: Clock, failing: str, working: str) -> None:
        """All is well.

        Args:
            log: what is told.
            clock: the time.
            failing: what to say once it fails; the reason follows it.
            working: what to say once it works again.
        """
        self._log = log
        self._clock = clock
        self._failing = failing
        self._working = working
        self._failed_at: float | None = None

    def __bool__(self) -> bool:
        """Whether it did not work the last time."""
        return self._failed_at is not None

    @property
    def may_try(self) -> bool:
        """Whether it works as far as is known, or has failed long enough ago."""
        return self._failed_at is None or self._clock.seconds() >= self._failed_at + RETRY

    def failed(self, why: object) -> None:
        """It has failed."""
        if self._failed_at is None:
            self._log.error("{what}: {why}", what=self._failing, why=why)
        self._failed_at = self._clock.seconds()

    def passed(self) -> None:
        """It has worked."""
        if self._failed_at is not None:
            self._failed_at = None
            self._log.warn("{what}", what=self._working)
