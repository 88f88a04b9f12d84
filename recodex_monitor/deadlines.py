"""Things that fall due some time after they were last touched."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Deadlines(Generic[_T]):
    """Things, each due the same ``delay()`` seconds after it was put here last.

    As the delay is the same for all, whatever it is at the moment, the order in which they were
    put is the order in which they fall due: no operation looks at more than it must, and there
    is no timer a thing.
    """

    def __init__(self, delay: Callable[[], float]) -> None:
        self.delay = delay
        self._since: OrderedDict[_T, float] = OrderedDict()

    def put(self, thing: _T, now: float) -> None:
        """Let the thing be due a delay from now, wherever it stood before."""
        self._since[thing] = now
        self._since.move_to_end(thing)

    def put_once(self, thing: _T, now: float) -> None:
        """Let the thing be due a delay from now, unless it is in already."""
        self._since.setdefault(thing, now)

    def discard(self, thing: _T) -> None:
        """Take the thing out, if it is in."""
        self._since.pop(thing, None)

    def pop_due(self, now: float) -> Iterator[_T]:
        """Take out and give what is due at ``now``, the longest due first.

        Things may be put and discarded between two steps.
        """
        delay = self.delay()
        while self._since:
            thing, since = next(iter(self._since.items()))
            if now < since + delay:
                return
            del self._since[thing]
            yield thing

    def since(self, thing: _T) -> float | None:
        """When the thing was put here; None if it is not in."""
        return self._since.get(thing)

    def __iter__(self) -> Iterator[_T]:
        """All things, the next due first; the set must not change meanwhile."""
        return iter(self._since)

    def __len__(self) -> int:
        return len(self._since)
