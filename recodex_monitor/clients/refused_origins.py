"""The origins whose pages were refused last, so that an administrator can find a missing one."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from recodex_monitor.clients.admission import MAX_ORIGIN

MAX_ORIGINS = 10
"""Origins that are remembered: the last ones."""


@dataclass(frozen=True)
class RefusedOrigin:
    """An origin whose pages were refused.

    Attributes:
        origin: in ASCII, shortened to MAX_ORIGIN characters.
        count: how often it was refused since it is remembered.
        at: when it was refused last, in seconds of the clock.
    """

    origin: str
    count: int
    at: float


class RefusedOrigins:
    """Remembers MAX_ORIGINS origins: those that were refused last."""

    def __init__(self) -> None:
        """Begin without origins."""
        self._known: OrderedDict[str, RefusedOrigin] = OrderedDict()

    def add(self, origin: str, now: float) -> None:
        """Note that a page of this origin was refused."""
        shown = ascii(origin[:MAX_ORIGIN])[1:-1]
        known = self._known.pop(shown, None)
        self._known[shown] = RefusedOrigin(shown, known.count + 1 if known else 1, now)
        while len(self._known) > MAX_ORIGINS:
            self._known.popitem(last=False)

    def __iter__(self) -> Iterator[RefusedOrigin]:
        """The origins, the one that was refused last first."""
        return reversed(self._known.values())
