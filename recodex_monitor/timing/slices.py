"""Work that may be long, done for a short while at a time."""

from collections.abc import Callable, Iterator

from recodex_monitor.timing.clock import Clock

TURN = 0.005
"""Seconds after its first step after which a turn ends, so that the reactor may do other things.

Waking 9000 subscribers takes some 40 ms, pinging 10,000 clients 150; others must not wait for
that.
"""

STEPS = 32
"""Steps of a turn, however short: each may leave the reactor as much to do as it did itself."""


class Turns:
    """Calls that each do what there is to do, for TURN seconds now and as often later."""

    def __init__(self, clock: Clock, steps: Callable[[], Iterator[object]]) -> None:
        """Do nothing yet.

        Args:
            clock: tells the time and calls later.
            steps: makes an iterator over what is to do, each step of it done when it is asked
                for. It is asked anew in every turn, so what is done must not come again.
        """
        self._clock = clock
        self._steps = steps
        self._scheduled = False

    def __call__(self) -> None:
        """Begin with what there is to do, unless a later turn will do it anyway."""
        if not self._scheduled:
            self._run()

    def _run(self) -> None:
        self._scheduled = False
        deadline = None
        for count, _ in enumerate(self._steps(), 1):
            now = self._clock.seconds()
            deadline = deadline or now + TURN
            if count == STEPS or now > deadline:
                self._scheduled = True
                self._clock.callLater(0, self._run)
                return
