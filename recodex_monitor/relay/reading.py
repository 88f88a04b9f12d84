"""Reading: brings the hub's copy of a channel up to what the engine has of it."""

from recodex_monitor.relay.engine import Commands
from recodex_monitor.relay.layout import PAGE, Batch, Keys, parse_ended, parse_entries, parse_id
from recodex_monitor.relay.mirror import Mirror


class Reading:
    """Reads channels from the engine, a page at a time."""

    def __init__(self, engine: Commands, keys: Keys, mirror: Mirror) -> None:
        """Read from this engine into this mirror."""
        self._engine = engine
        self._keys = keys
        self._mirror = mirror

    async def read(self, channel_id: str) -> bool:
        """Read what the hub lacks of a channel; returns whether the engine has the channel.

        What the hub has and the engine does not stays: its owner will push that again.

        Raises:
            EngineAway: the engine was lost on the way; what was read until then is in the hub.
            EngineError: the engine refuses, or has something else there.
        """
        key = self._keys.stream(channel_id)
        while True:
            channel = self._mirror.hub.channels.get(channel_id)
            count = channel.count if channel is not None else 0
            # From the last known message on: it shows whether this is still the same channel.
            entries = await self._engine.call("XRANGE", key, max(1, count), "+", "COUNT", PAGE)
            batches = [*parse_entries(channel_id, entries)]
            if not count and not batches:
                if await self.read_end(channel_id):
                    continue
                return False
            if count and not self._continues(batches, count):
                return await self._compare(channel_id, key)
            self._mirror.apply(batches, is_new=False)
            if len(entries) < PAGE:
                return True

    async def read_end(self, channel_id: str) -> bool:
        """Read how a channel ended whose messages the engine keeps no longer.

        Returns whether it keeps them: a channel may begin and end while it is looked for.

        Raises:
            EngineAway: the engine was lost.
            EngineError: the engine refuses, or has something else there.
        """
        found = await self._engine.call("GET", self._keys.end(channel_id))
        if found is None:
            return False
        if await self._engine.call("EXISTS", self._keys.stream(channel_id)):
            return True
        if not self._mirror.count(channel_id):
            self._mirror.remember(channel_id, parse_ended(found))
        return False

    def _continues(self, batches: list[Batch], count: int) -> bool:
        return bool(batches) and batches[0].first <= count and not self._mirror.is_other(batches[0])

    async def _compare(self, channel_id: str, key: bytes) -> bool:
        """Replace the hub's channel if the engine has another of the same id."""
        last = await self._engine.call("XREVRANGE", key, "+", "-", "COUNT", 1)
        if not last:
            return False
        batches: list[Batch] = []
        start = 1
        while True:
            entries = await self._engine.call("XRANGE", key, start, "+", "COUNT", PAGE)
            batches += parse_entries(channel_id, entries)
            if len(entries) < PAGE:
                break
            start = parse_id(entries[-1][0])[0] + 1
        if batches and self._mirror.is_other(batches[0]):
            newest = batches[-1].epoch
            whole = [batch for batch in batches if batch.epoch == newest]
            if whole[0].first == 1:
                self._mirror.replace(channel_id, whole)
        elif batches:
            self._mirror.apply(batches, is_new=False)
        return True
