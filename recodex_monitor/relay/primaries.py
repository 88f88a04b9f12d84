"""Primaries: of several servers, whether this node uses the one that had the latest owner.

A primary that was cut off while its replica was promoted still says that it is one when it comes
back. A node that has kept its session with it, or could reach only that one, must not own there.
"""

from twisted.internet.defer import DeferredList, ensureDeferred

from recodex_monitor.relay.dialing import Dialer
from recodex_monitor.relay.engine import Engine

TIMEOUT = 0.5
"""Seconds that other servers have to answer: a takeover must not wait for one that is dead."""

LOOK_EVERY = 2
"""Seconds between two checks."""


class Primaries:
    """Leaves an engine that has been superseded."""

    def __init__(self, dialer: Dialer, engine: Engine) -> None:
        """Look at nothing yet; ``dialer`` reaches all servers, ``engine`` is the one in use."""
        self._dialer = dialer
        self._engine = engine
        self._ticks = 0

    async def tick(self) -> None:
        """Look from time to time; to be called every second.

        Raises:
            EngineAway: the engine is away.
            EngineError: the engine refuses.
        """
        self._ticks += 1
        if self._ticks % LOOK_EVERY == 0:
            await self.is_superseded()

    async def may_take_lease(self) -> bool:
        """Whether the lease may be taken here, if it is free: no other primary is the one to use.

        Raises:
            EngineAway: the engine is away.
            EngineError: the engine refuses.
        """
        if len(self._dialer.addresses) < 2:
            return True
        is_held = await self._engine.call("GET", self._dialer.keys.lease)
        return bool(is_held) or not await self.is_superseded()

    async def is_superseded(self) -> bool:
        """Whether another primary has had a later owner; the session ends then, to use that one.

        Raises:
            EngineAway: the engine is away.
            EngineError: the engine refuses.
        """
        session = self._engine.session
        if session is None:
            return False
        others = [one for one in self._dialer.addresses if one != session.address]
        dials = [
            ensureDeferred(self._dialer.generation_of(one)).addTimeout(
                TIMEOUT, self._dialer.reactor
            )
            for one in others
        ]
        if not dials:
            return False
        found = [value for done, value in await DeferredList(dials, consumeErrors=True) if done]
        key = self._dialer.keys.fence
        generation = int(await self._engine.call("HGET", key, "generation") or 0)
        if max(found, default=-1) <= generation:
            return False
        if self._engine.session is session:
            self._engine.restart("another primary has had a later owner")
        return True
