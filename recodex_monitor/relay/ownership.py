"""Ownership: how this node becomes the owner, stays it, and becomes an edge again in place."""

from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.task import deferLater
from twisted.logger import Logger

from recodex_monitor.relay.connection import EngineAway, EngineError
from recodex_monitor.relay.parts import Parts, Role
from recodex_monitor.relay.takeover import take_over
from recodex_monitor.relay.tasks import Tasks
from recodex_monitor.relay.yielding import Yielding

_log = Logger()

POLL = 0.01
"""Seconds between two checks whether the engine has everything."""

LEASES_TO_WAIT = 2
"""Leases for which others wait after the engine's return: its owner takes the first one."""


class Ownership:
    """Holds the lease where it can.

    Attributes:
        role: of this node.
        since: since when it has the role, in seconds.
        changes: how often it has become the owner.
        holder: who has the lease, as it was seen last; empty if nobody has.
    """

    def __init__(self, parts: Parts, *, may_own: bool, lease: float, patience: float) -> None:
        """Begin as an edge.

        Args:
            parts: what it works with.
            may_own: whether this node may become the owner at all.
            lease: seconds after which a lease lapses.
            patience: seconds for which the end of a hand-over is waited for.
        """
        self.role = Role.EDGE
        self.since = parts.clock.seconds()
        self.changes = 0
        self.holder = ""
        self._parts = parts
        self._may_own = may_own
        self._lease = lease
        self._patience = patience
        self._tasks = Tasks()
        self._yielding: Yielding | None = None
        self._is_verified = False
        self._waits_until = 0.0
        self._unfenced_since: float | None = None
        self._stopping = False
        self._is_owner = lambda: self.role is Role.OWNER
        parts.publisher.on_fenced = lambda: self._tasks.add(self._reclaim)
        parts.publisher.on_lost = lambda: self._tasks.add(self._reclaim)
        parts.publisher.on_settled = self._settled
        parts.publisher.on_late = self.read_late

    @property
    def owns(self) -> bool:
        """Whether the broker should talk to this node."""
        return self.role is Role.OWNER and not self._stopping

    def began(self) -> None:
        """Note that a session with the engine has begun."""
        parts = self._parts
        if self.role is Role.OWNER:
            self._tasks.add(self._reclaim)
            return
        # The last owner takes the lease first after the engine's return: it has all messages.
        wait = LEASES_TO_WAIT * self._lease
        is_return = parts.engine.sessions > 1 or parts.engine.facts.uptime <= wait
        self._waits_until = parts.clock.seconds() + wait * is_return

    def tick(self) -> None:
        """Renew the lease, or try to take it; to be called three times in a lease."""
        parts, is_busy = self._parts, self._stopping or self._tasks.is_working
        if is_busy or parts.engine.session is None:
            return
        if self.role is Role.OWNER:
            self._tasks.add(self._renew)
        elif (
            self._may_own and self.role is Role.EDGE and parts.clock.seconds() >= self._waits_until
        ):
            self._tasks.add(self._try)

    def ended(self) -> None:
        """Note that the session has ended: what waits for the engine has to begin again."""
        if self.role is not Role.YIELDING:
            self._tasks.cancel()

    def _become(self, role: Role) -> None:
        self.role = role
        self.since = self._parts.clock.seconds()

    async def _try(self) -> None:
        """Take the lease if nobody has it, and with it the owner's role."""
        now, lease = self._parts.clock.seconds(), self._parts.lease
        if not await self._parts.primaries.may_take_lease():
            return
        unfenced = self._unfenced_since
        has_waited = unfenced is not None and now >= unfenced + LEASES_TO_WAIT * self._lease
        holder = await lease.take(only_beside_fence=not has_waited)
        self.holder = holder.name
        if holder.value == lease.value:
            self._unfenced_since = None
            await self._take_over()
        elif holder.value or holder.token:
            self._unfenced_since = None
        elif unfenced is None:
            self._unfenced_since = now

    async def _take_over(self) -> None:
        self._become(Role.TAKING)
        try:
            await take_over(self._parts, self._lease)
            self._is_verified = True
            await self._own()
        finally:
            if self.role is Role.TAKING:
                self._parts.publisher.cease()
                self._become(Role.EDGE)
        await self._parts.late.take(self._is_owner)

    async def _own(self) -> None:
        parts = self._parts
        try:
            parts.broker.startService()
        except OSError as error:
            _log.error("cannot own: {why}", why=error.strerror)
            self._waits_until = parts.clock.seconds() + self._patience
            await parts.lease.release()
            return
        self._become(Role.OWNER)
        self.changes += 1
        _decide(parts, owns=True)
        parts.follower.forget_all()
        count = len(parts.mirror.hub.channels)
        _log.info("this node owns now, with {count} channels", event="node_owns", count=count)

    async def _renew(self) -> None:
        lease = self._parts.lease
        holder = await lease.take()
        self.holder = holder.name
        if lease.is_others(holder):
            self.step_down(f"{holder.name or 'another node'} owns")
        elif holder.token != lease.token:
            await self._reclaim()
        else:
            await self._parts.late.take(self._is_owner)

    async def _reclaim(self) -> None:
        """Stay the owner in a new session, or where the engine has lost its data."""
        parts = self._parts
        if self.role is not Role.OWNER:
            return
        holder = await parts.lease.take()
        if parts.lease.is_others(holder):
            self.step_down(f"{holder.name or 'another node'} owns")
            return
        await parts.lease.fence()
        await parts.late.tops.record_again()
        if self.role is not Role.OWNER:
            return
        self._is_verified = False
        parts.publisher.begin(parts.lease.token, asks=True)

    def _settled(self) -> None:
        """Note in the engine, once until the next check is due, that it has all messages."""
        if self.role is Role.OWNER and not self._is_verified:
            self._is_verified = True
            facts = self._parts.engine.facts
            verified = self._parts.lease.verified
            self._tasks.add(lambda: verified(facts.run, facts.replication))

    def read_late(self) -> None:
        """Take the late messages of an earlier owner, if this node owns."""
        if self.role is Role.OWNER:
            self._tasks.add(lambda: self._parts.late.take(self._is_owner))

    def step_down(self, why: str) -> None:
        """Become an edge in place: clients stay, what is not acknowledged is handed over.

        Where the engine is away, the broker is let go before that: it must not wait.
        """
        if self.role is not Role.OWNER:
            return
        parts = self._parts
        if parts.engine.session is None:
            parts.broker.stopService()
        _log.warn("this node no longer owns: {why}", event="node_yields", why=why)
        self._become(Role.YIELDING)
        rest, token = parts.publisher.cease(), parts.lease.token
        parts.lease.renew_token()
        _decide(parts, owns=False)
        retention = parts.mirror.hub.retention
        for channel in tuple(parts.mirror.hub.channels.values()):
            if channel.subscriptions:
                parts.follower.follow(channel.id)
            else:
                retention.drop(channel)
        self._yielding = yielding = Yielding(parts, self._patience)

        async def hand_over() -> None:
            await yielding.hand_over(rest, token)
            self._become(Role.EDGE)

        self._tasks.add(hand_over)

    async def stop(self, timeout: float) -> None:
        """Give the role back: take what the broker has sent, push it, then free the lease."""
        parts = self._parts
        self._stopping = True

        async def give_back() -> None:
            # Meanwhile another node may take the lease; then what is left is handed over.
            while self.role is Role.OWNER and not parts.publisher.is_settled:
                await deferLater(parts.clock, POLL)
            if self.role is Role.OWNER:
                await parts.lease.release()
                parts.publisher.cease()
                _decide(parts, owns=False)
                self._become(Role.EDGE)
            elif self._yielding is not None:
                self._yielding.is_hasty = True
                await self._tasks.done

        if self.role in (Role.EDGE, Role.TAKING):
            return
        if self.role is Role.OWNER:
            parts.broker.stopService()
        try:
            await ensureDeferred(give_back()).addTimeout(timeout, parts.clock)
        except (TimedOut, EngineAway, EngineError, CancelledError) as error:
            count = parts.publisher.intake.count
            why = "the engine does not answer" if isinstance(error, TimedOut) else error
            _log.error("stopping, {count} messages are lost: {why}", count=count, why=why)


def _decide(parts: Parts, *, owns: bool) -> None:
    """Let this node end channels by time and evict them, or not where another node decides."""
    retention, evicting = parts.mirror.hub.retention, parts.evicting
    retention.on_due = parts.publisher.end if owns else None
    retention.spares = evicting.spares if owns else lambda _: False
