"""Evicting: an owner makes room by removing channels that have no followers on any node."""

from itertools import islice

from twisted.python.failure import Failure

from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.retention import EVICTION_CANDIDATES
from recodex_monitor.relay.connection import EngineAway, EngineError, Word
from recodex_monitor.relay.engine import Commands, Script
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.publisher import LEAST_TTL
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock

EVICT = Script("""
-- KEYS: the fence, a stream.
-- ARGV: the owner's token, the stream's epoch, and the milliseconds that edges have to read it.
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last and redis.call('HGET', KEYS[1], 'token') == ARGV[1]
    and string.match(last[1], '%-(%d+)$') == ARGV[2]
    and redis.call('PTTL', KEYS[2]) > tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return 1
""")


NEARLY = 0.9
"""The part of a limit above which the owner asks which channels may be evicted."""


class Evicting:
    """Decides for an owner what may be evicted, and makes the engine forget it.

    Attributes:
        unfollowed: running channels that nobody follows on any node, as far as this is known; it is
            looked up only when a limit is nearly reached.
    """

    def __init__(
        self, engine: Commands, keys: Keys, hub: Hub, settings: LiveSettings, clock: Clock
    ) -> None:
        """Evict nothing yet; ``clock`` is the hub's."""
        self.unfollowed: set[Channel] = set()
        self._engine = engine
        self._keys = keys
        self._hub = hub
        self._settings = settings
        self._clock = clock

    def spares(self, channel: Channel) -> bool:
        """Whether a running channel must stay, as far as it is known."""
        return channel not in self.unfollowed

    async def tick(self) -> None:
        """Ask who follows what; to be called every second by an owner.

        Raises:
            EngineAway: the engine is away.
            EngineError: the engine refuses.
        """
        self.unfollowed.clear()
        limits, retention = self._settings.limits, self._hub.retention
        is_full = len(self._hub.channels) >= NEARLY * limits.max_channels
        if not is_full and retention.history_bytes < NEARLY * limits.max_history_bytes:
            return
        oldest = islice(retention.running, EVICTION_CANDIDATES)
        channels = [one for one in oldest if not one.subscriptions]
        if channels:
            names = [self._keys.stream(one.id) for one in channels]
            told = await self._engine.call("PUBSUB", "NUMSUB", *names)
            pairs = zip(channels, told[1::2], strict=True)
            self.unfollowed = {channel for channel, count in pairs if not count}

    def removed(self, channel: Channel, token: str) -> None:
        """Note that the hub of an owner, whose token this is, has removed a channel."""
        if not channel.count or not channel.times:
            return
        age = self._clock.seconds() - (channel.began + channel.times[-1]) / 100
        if channel.end is not None and age >= self._settings.channels.retention - 1:
            return  # Its retention is over, and the engine's copy expires by itself.
        keys: list[Word] = [self._keys.fence, self._keys.stream(channel.id)]
        values: list[Word] = [token, channel.epoch, LEAST_TTL]
        self._engine.run(EVICT, keys, values).addErrback(_ignored)


def _ignored(failure: Failure) -> None:
    """Ignore that the engine is away: it keeps one channel more than needed."""
    failure.trap(EngineAway, EngineError)
