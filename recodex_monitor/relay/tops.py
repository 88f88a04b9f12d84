"""Tops: how far an owner had got in each channel when another fenced it off.

What that owner hands over later begins somewhere in what it has pushed already: the number of the
last message that the engine had then shows which of them are late and which the engine has. It is
kept in the engine, since the late messages may be taken by a later owner than the next.
"""

from collections.abc import Iterable

from recodex_monitor.relay.engine import Commands
from recodex_monitor.relay.layout import Keys

KEPT = 86_400
"""Seconds for which the engine keeps the tops: an owner that is cut off for longer is too late."""


class Tops:
    """The last messages of all channels, by the token of the owner that was fenced off then."""

    def __init__(self, engine: Commands, keys: Keys) -> None:
        """Know none yet."""
        self._engine = engine
        self._keys = keys
        self._own: dict[str, dict[str, int]] = {}

    async def record(self, tokens: Iterable[str], tops: dict[str, int]) -> None:
        """Note what the engine has, now that no owner with one of these tokens can push any more.

        What is known of a token already stays: that was noted when it was fenced off.

        Raises:
            EngineAway: the engine is away.
        """
        self._own = dict.fromkeys(tokens, tops)
        await self.record_again()

    async def record_again(self) -> None:
        """Note again what this owner has noted, which the engine may have lost.

        Raises:
            EngineAway: the engine is away.
        """
        for token, tops in tuple(self._own.items()):
            key = self._keys.tops + token
            if not await self._engine.call("EXISTS", key):
                # The first field makes the key exist even without channels.
                pairs = (part for pair in {"": 0, **tops}.items() for part in pair)
                await self._engine.call("HSET", key, *pairs)
                await self._engine.call("EXPIRE", key, KEPT)

    async def of(self, token: str, channel_id: str) -> int:
        """The last message of a channel when this owner was fenced off; 0 if there was none.

        Raises:
            EngineAway: the engine is away.
        """
        return int(await self._engine.call("HGET", self._keys.tops + token, channel_id) or 0)
