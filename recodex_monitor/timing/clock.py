"""Time as the reactor lives it."""

from collections.abc import Callable
from typing import Any, Protocol

TICK = 1.0
"""Seconds between two ticks."""


class Clock(Protocol):
    """The part of a reactor that is about time."""

    def seconds(self) -> float:
        """The time in seconds, never going back."""

    def callLater(self, delay: float, callable: Callable[[], object]) -> Any:  # noqa: A002
        """Call ``callable`` in ``delay`` seconds, in a turn of its own."""


class LoopClock:
    """A reactor's clock that stands still while the process is stopped.

    What is due after some time of silence is not due because we did not listen: a monitor that
    was stopped for a minute first reads what came meanwhile.
    """

    def __init__(self, reactor: Clock) -> None:
        """Begin at the reactor's time."""
        self._reactor = reactor
        self.callLater = reactor.callLater
        self._ticked = reactor.seconds()
        self._lost = 0.0

    def seconds(self) -> float:
        """The seconds lived, from any origin."""
        # Between a stop and the next tick the clock must not run ahead and then go back.
        now, latest = self._reactor.seconds(), self._ticked + 2 * TICK
        return (now if now < latest else latest) - self._lost

    def tick(self) -> None:
        """Note that the reactor is alive; call it every TICK."""
        now = self._reactor.seconds()
        self._lost += max(0.0, now - self._ticked - 2 * TICK)
        self._ticked = now
