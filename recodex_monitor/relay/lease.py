"""The lease: which node owns. The engine keeps it, and lets it lapse if it is not renewed."""

from secrets import token_hex
from typing import NamedTuple

from recodex_monitor.relay.engine import Commands, Script
from recodex_monitor.relay.layout import Keys

_TAKE = Script("""
-- KEYS: lease, fence. ARGV: the lease's value, milliseconds, "1" to take it only beside a fence.
local holder = redis.call('GET', KEYS[1])
local fence = redis.call('HGET', KEYS[2], 'token') or ''
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif not holder and (ARGV[3] ~= '1' or fence ~= '') then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  holder = ARGV[1]
end
return {holder or '', fence, redis.call('HGET', KEYS[2], 'generation') or '0'}
""")

_FENCE = Script("""
-- KEYS: lease, fence.
-- ARGV: the lease's value, the token, the generation of this owner's last fence.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED another node has the lease')
end
local old = redis.call('HMGET', KEYS[2], 'token', 'run', 'replication', 'generation', 'before')
local generation = math.max(tonumber(old[4] or '0'), tonumber(ARGV[3])) + 1
local before = old[5] or ''
if old[1] ~= ARGV[2] then
  before = (old[1] or '') .. ' ' .. before
end
generation = string.format('%.0f', generation)
redis.call('HSET', KEYS[2], 'token', ARGV[2], 'generation', generation, 'before', before)
return {before, old[2] or '', old[3] or '', generation}
""")

_VERIFIED = Script("""
-- KEYS: fence. ARGV: the token, the run, the replication.
if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'run', ARGV[2], 'replication', ARGV[3], 'before', '')
end
return 1
""")

_RELEASE = Script("""
-- KEYS: lease. ARGV: the lease's value.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', KEYS[1], 'free')
end
return 1
""")


class Holder(NamedTuple):
    """The holder of the lease.

    Attributes:
        value: of the lease; empty if nobody has it.
        token: in the fence; empty if there is none.
        generation: of the fence; 0 if there is none.
    """

    value: str
    token: str
    generation: int

    @property
    def name(self) -> str:
        """Of the node; empty if there is none."""
        return self.value.partition(" ")[2]


class Fence(NamedTuple):
    """What a fence says of the owners before.

    Attributes:
        tokens: of those that were fenced off since one last knew all messages, the newest first.
        run: of the engine, when that owner had made sure that it has all messages.
        replication: of the engine's data, then.
    """

    tokens: list[str]
    run: str
    replication: str


class Lease:
    """Takes the lease, keeps it and gives it back.

    Attributes:
        token: random, and new for each time that this node becomes the owner; the fence has it.
        generation: of this node's last fence: an engine whose fence has a lower one has lost data.
        seen: the token of another owner that was seen last; empty if there was none.
    """

    def __init__(self, engine: Commands, keys: Keys, name: str, seconds: float) -> None:
        """Have no lease yet.

        Args:
            engine: keeps the lease.
            keys: have its name.
            name: of this node.
            seconds: after which the lease lapses if it is not renewed.
        """
        self._engine = engine
        self._keys = keys
        self._name = name
        self._milliseconds = int(seconds * 1000)
        self.token = token_hex(8)
        self.generation = 0
        self.seen = ""

    @property
    def value(self) -> str:
        """The lease's value if this node holds it."""
        return f"{self.token} {self._name}"

    def renew_token(self) -> None:
        """Take a new token, and so become an owner other than before."""
        self.token = token_hex(8)

    async def take(self, *, only_beside_fence: bool = False) -> Holder:
        """Take the lease if it is free, or renew it; returns who has it now.

        Args:
            only_beside_fence: leave it if there is no fence: its owner may be about to return.

        Raises:
            EngineAway: the engine is away.
        """
        values = (self.value, self._milliseconds, int(only_beside_fence))
        reply = await self._engine.run(_TAKE, self._lease_and_fence, values)
        holder = Holder(reply[0].decode(), reply[1].decode(), int(reply[2]))
        if holder.token not in ("", self.token):
            self.seen = holder.token
        return holder

    def is_others(self, holder: Holder) -> bool:
        """Whether another node owns, or has owned since this one took the lease.

        The token alone does not show that: it may be an older one in an engine that has lost data.
        """
        is_newer = holder.token != self.token and holder.generation >= self.generation
        return holder.value != self.value or (holder.token != "" and is_newer)

    async def fence(self) -> Fence:
        """Fence other owners off: from now on they can push nothing; returns the fence before.

        Raises:
            EngineAway: the engine is away.
            EngineError: this node no longer has the lease.
        """
        values = (self.value, self.token, self.generation)
        before, *old, generation = await self._engine.run(_FENCE, self._lease_and_fence, values)
        self.generation = int(generation)
        return Fence(before.decode().split(), *map(bytes.decode, old))

    async def verified(self, run: str, replication: str) -> None:
        """Note that the engine, which says this of itself, has all messages.

        Raises:
            EngineAway: the engine is away.
        """
        await self._engine.run(_VERIFIED, [self._keys.fence], (self.token, run, replication))

    async def release(self) -> None:
        """Give the lease back, and notify the other nodes.

        Raises:
            EngineAway: the engine is away.
        """
        await self._engine.run(_RELEASE, [self._keys.lease], (self.value,))

    @property
    def _lease_and_fence(self) -> list[str]:
        return [self._keys.lease, self._keys.fence]
