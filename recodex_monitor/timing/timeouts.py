"""Timeouts: things that are due a fixed time after they were last touched."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypeVar

_T = TypeVar("_T")


class Timeouts(OrderedDict[_T, float]):
    """Things, each due ``delay()`` seconds after it was last put here; the values are those times.

    The delay may change, but is always the same for all. So the order in which things were put
    here is the order in which they are due: every operation takes constant time, and no thing
    needs a timer of its own.
    """

    def __init__(self, delay: Callable[[], float]) -> None:
        """Begin with no things; ``delay`` gives the seconds, at the time of asking."""
        super().__init__()
        self.delay = delay

    def put(self, thing: _T, now: float) -> None:
        """Make the thing due a delay from now, even if it is here already."""
        self[thing] = now
        self.move_to_end(thing)

    def put_once(self, thing: _T, now: float) -> None:
        """Make the thing due a delay from now, unless it is here already."""
        self.setdefault(thing, now)

    def sort(self) -> None:
        """Put the things in the order of their times, where they were put here in another."""
        for thing in sorted(self, key=self.__getitem__):
            self.move_to_end(thing)

    def discard(self, thing: _T) -> None:
        """Remove the thing, if it is here."""
        self.pop(thing, None)

    def first_due(self, now: float) -> _T | None:
        """The thing that is due at ``now`` and has been for longest; None if none is."""
        for thing, since in self.items():
            return thing if now >= since + self.delay() else None
        return None

    def pop_due(self, now: float) -> Iterator[_T]:
        """Remove and give the things that are due at ``now``, the longest due first.

        Things may be put here and discarded between two steps.
        """
        delay = self.delay()
        while self:
            thing, since = next(iter(self.items()))
            if now < since + delay:
                return
            del self[thing]
            yield thing
