"""Things that fall due some time after they were last touched."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypeVar

_T = TypeVar("_T")


class Deadlines(OrderedDict[_T, float]):
    """Things, each due the same ``delay()`` seconds after it was put here last.

    As the delay is the same for all, whatever it is at the moment, the order in which they were
    put is the order in which they fall due: no operation looks at more than it must, and there
    is no timer a thing. Its value is when it was put here.
    """

    def __init__(self, delay: Callable[[], float]) -> None:
        super().__init__()
        self.delay = delay

    def put(self, thing: _T, now: float) -> None:
        """Let the thing be due a delay from now, wherever it stood before."""
        self[thing] = now
        self.move_to_end(thing)

    def put_once(self, thing: _T, now: float) -> None:
        """Let the thing be due a delay from now, unless it is in already."""
        self.setdefault(thing, now)

    def discard(self, thing: _T) -> None:
        """Take the thing out, if it is in."""
        self.pop(thing, None)

    def pop_due(self, now: float) -> Iterator[_T]:
        """Take out and give what is due at ``now``, the longest due first.

        Things may be put and discarded between two steps.
        """
        delay = self.delay()
        while self:
            thing, since = next(iter(self.items()))
            if now < since + delay:
                return
            del self[thing]
            yield thing
