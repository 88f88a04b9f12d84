"""Taking over: what a node does after it has the lease, and before it listens for the broker."""

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater

from recodex_monitor.relay.connection import EngineAway, EngineError
from recodex_monitor.relay.lease import Fence
from recodex_monitor.relay.parts import Parts


async def take_over(parts: Parts, lease: float) -> None:
    """Fence earlier owners off, and know all that they have pushed.

    Where the engine may have lost data that an owner had acknowledged, and that owner is not there
    to send it again, open channels get new epochs: a lost message must never be taken for another.

    Args:
        parts: of this node.
        lease: seconds after which it lapses; it is renewed meanwhile.

    Raises:
        EngineAway: the engine was lost on the way.
        EngineError: the engine refuses, or another node has the lease by now.
    """
    renewing = _keep_renewing(parts, lease / 3)
    try:
        fence = await parts.lease.fence()
        found = await parts.loading.load()
        await _record(parts, fence)
        _adopt(parts, fence, found)
        parts.publisher.begin(parts.lease.token, asks=False)
        await parts.publisher.settled()
        facts = parts.engine.facts
        await parts.lease.verified(facts.run, facts.replication)
        await parts.late.begin(parts.name)
    finally:
        renewing.cancel()


def _keep_renewing(parts: Parts, seconds: float) -> "Deferred[None]":
    async def renew() -> None:
        while True:
            await deferLater(parts.clock, seconds)
            await parts.lease.take()

    renewing = ensureDeferred(renew())
    renewing.addErrback(lambda failure: failure.trap(CancelledError, EngineAway, EngineError))
    return renewing


async def _record(parts: Parts, fence: Fence) -> None:
    """Note what the owners that are fenced off now had pushed; they may hand over the rest later.

    An engine that has lost its data does not know the owner that this node has seen.
    """
    tokens = {*fence.tokens, parts.lease.seen} - {"", parts.lease.token}
    channels = parts.mirror.hub.channels.values()
    await parts.late.tops.record(tokens, {one.id: one.count for one in channels if one.count})


def _adopt(parts: Parts, fence: Fence, found: set[str]) -> None:
    facts = parts.engine.facts
    is_intact = (fence.run, fence.replication) == (facts.run, facts.replication)
    for channel in parts.mirror.hub.channels.values():
        if not channel.count:
            continue
        if channel.end is None and not (is_intact and channel.id in found):
            parts.mirror.renew(channel)
            parts.publisher.intake.replace(channel)
