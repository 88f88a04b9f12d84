"""Loading: a new owner reads all channels before it takes the first message."""

from collections.abc import Iterator

from twisted.internet.defer import Deferred, FirstError, ensureDeferred, gatherResults

from recodex_monitor.relay.engine import Commands
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.mirror import Mirror
from recodex_monitor.relay.queue import IN_FLIGHT
from recodex_monitor.relay.reading import Reading


class Loading:
    """Reads all channels of the engine into the hub."""

    def __init__(self, engine: Commands, keys: Keys, mirror: Mirror) -> None:
        """Read from this engine into this mirror."""
        self._engine = engine
        self._keys = keys
        self._mirror = mirror
        self._reading = Reading(engine, keys, mirror)

    async def load(self) -> set[str]:
        """Read all channels; returns the ids of those that the engine has.

        Raises:
            EngineAway: the engine was lost on the way.
            EngineError: the engine refuses.
        """
        found = await self._find()
        rest = iter(found)
        workers: list[Deferred[None]] = [
            ensureDeferred(self._work(rest)) for _ in range(min(IN_FLIGHT, len(found)))
        ]
        try:
            await gatherResults(workers, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        retention = self._mirror.hub.retention
        for timeouts in (retention.failing, retention.running, retention.ended):
            timeouts.sort()
        return found

    async def _work(self, channel_ids: Iterator[str]) -> None:
        for channel_id in channel_ids:
            await self._reading.read(channel_id)

    async def _find(self) -> set[str]:
        found: set[str] = set()
        cursor = b"0"
        pattern = f"{self._keys.channels}*"
        while True:
            cursor, names = await self._engine.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found.update(map(self._keys.channel_id, names))
            if cursor == b"0":
                found.discard("")
                return found
