"""Retries: something that fails is tried again a fixed time later, and logged once."""

from twisted.logger import Logger

from recodex_monitor.timing.clock import Clock

RETRY_DELAY = 5.0
"""Seconds from a failure to the next attempt."""


class Retry:
    """The state of something that may fail.

    The log has an error when it begins to fail, and a warning when it works again.
    """

    def __init__(self, log: Logger, clock: Clock, name: str, failing: str, working: str) -> None:
        """Begin as working.

        Args:
            log: gets the error and the warning.
            clock: tells the time.
            name: begins the names of both events: ``NAME_failed``, ``NAME_recovered``.
            failing: the error's text; a colon and the reason follow it.
            working: the warning's text.
        """
        self._log = log
        self._name = name
        self._clock = clock
        self._failing = failing
        self._working = working
        self._failed_at: float | None = None

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failed_at is not None

    @property
    def may_try(self) -> bool:
        """Whether the last attempt did not fail, or failed RETRY_DELAY seconds ago or earlier."""
        return self._failed_at is None or self._clock.seconds() >= self._failed_at + RETRY_DELAY

    def failed(self, why: object) -> None:
        """Note a failed attempt; ``why`` is for the log."""
        if self._failed_at is None:
            self._log.error(
                "{what}: {why}", event=f"{self._name}_failed", what=self._failing, why=why
            )
        self._failed_at = self._clock.seconds()

    def succeeded(self) -> None:
        """Note an attempt that did not fail."""
        if self._failed_at is not None:
            self._failed_at = None
            self._log.warn("{what}", event=f"{self._name}_recovered", what=self._working)
