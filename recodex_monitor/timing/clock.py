"""The time, and a clock that stands still while the process is suspended."""

from collections.abc import Callable
from typing import Any, Protocol

TICK = 1.0
"""Seconds between two calls of ``LoopClock.tick``."""


class Clock(Protocol):
    """The part of a reactor that tells the time and calls later."""

    def seconds(self) -> float:
        """The time in seconds, from any origin; it never goes back."""

    def callLater(self, delay: float, callable: Callable[[], object]) -> Any:  # noqa: A002
        """Call ``callable`` in ``delay`` seconds, never before this call has returned."""


class LoopClock:
    """A reactor's clock that stands still while the process is suspended (SIGSTOP, a sleeping VM).

    Time spent suspended does not count as silence: a monitor that was suspended for a minute reads
    what has arrived before it ends anything for being silent.
    """

    def __init__(self, reactor: Clock) -> None:
        """Start at the reactor's time."""
        self._reactor = reactor
        self.callLater = reactor.callLater
        self._ticked_at = reactor.seconds()
        self._suspended = 0.0

    def seconds(self) -> float:
        """The time in seconds, without the time spent suspended."""
        # After a suspension and before the next tick, it must not run ahead and then go back.
        now, latest = self._reactor.seconds(), self._ticked_at + 2 * TICK
        return (now if now < latest else latest) - self._suspended

    def tick(self) -> None:
        """Note that the reactor runs; to be called every TICK seconds."""
        now = self._reactor.seconds()
        self._suspended += max(0.0, now - self._ticked_at - 2 * TICK)
        self._ticked_at = now
