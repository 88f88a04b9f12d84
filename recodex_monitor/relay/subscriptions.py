"""Subscriptions: the channels whose news the engine sends to this node."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from recodex_monitor.relay.engine import Commands
from recodex_monitor.relay.layout import Keys

CHUNK = 500
"""Names in one SUBSCRIBE."""


class Subscriptions:
    """Subscribes to channels, and knows which of the acknowledgements is the last."""

    def __init__(self, engine: Commands, keys: Keys) -> None:
        """Subscribe to nothing yet."""
        self._engine = engine
        self._keys = keys
        self._unacknowledged: Counter[str] = Counter()

    def begin(self, channel_ids: Iterable[str]) -> None:
        """Subscribe in a new session, which knows nothing of an earlier one."""
        self._unacknowledged.clear()
        self.add(channel_ids)

    def add(self, channel_ids: Iterable[str]) -> None:
        """Subscribe to channels."""
        for names in _chunks(channel_ids):
            self._unacknowledged.update(names)
            self._engine.subscribe([*map(self._keys.stream, names)])

    def remove(self, channel_ids: Iterable[str]) -> None:
        """End subscriptions to channels."""
        for names in _chunks(channel_ids):
            self._engine.unsubscribe([*map(self._keys.stream, names)])

    def is_begun(self, channel_id: str) -> bool:
        """Whether an acknowledgement, which has come just now, is that of the last SUBSCRIBE.

        A channel may have been subscribed to, left, and subscribed to again meanwhile.
        """
        self._unacknowledged[channel_id] -= 1
        if self._unacknowledged[channel_id] > 0:
            return False
        del self._unacknowledged[channel_id]
        return True


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    rest = iter([*names])
    while chunk := [*islice(rest, CHUNK)]:
        yield chunk
