"""Time slices: long work is done a few milliseconds at a time, so the reactor stays responsive."""

from collections.abc import Callable, Iterator

from recodex_monitor.timing.clock import Clock

SLICE = 0.005
"""Seconds after its first step at which a slice ends, so that the reactor can do other things.

Waking 9000 subscriptions takes some 40 ms, pinging 10,000 clients 150; nobody should wait for that.
"""

STEPS = 32
"""Steps in a slice at most: each may leave the reactor as much work as it did itself."""


class TimeSlices:
    """Work in steps, done for SLICE seconds at once and the rest in later slices."""

    def __init__(self, clock: Clock, steps: Callable[[], Iterator[object]]) -> None:
        """Do nothing yet.

        Args:
            clock: tells the time and calls later.
            steps: makes an iterator over the work; each ``next`` does one step. Every slice makes
                a new iterator, so it must begin with what has not been done yet.
        """
        self._clock = clock
        self._steps = steps
        self._scheduled = False

    def __call__(self) -> None:
        """Begin with the work, unless a later slice is scheduled already and will do it."""
        if not self._scheduled:
            self._run()

    def _run(self) -> None:
        self._scheduled = False
        slice_end = None
        for count, _ in enumerate(self._steps(), 1):
            now = self._clock.seconds()
            slice_end = slice_end or now + SLICE
            if count == STEPS or now > slice_end:
                self._scheduled = True
                self._clock.callLater(0, self._run)
                return
