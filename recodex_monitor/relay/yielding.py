"""Yielding: how a node that no longer owns hands over what it could not push.

It notes in the engine that it does, so that the new owner holds back what it hears itself. What the
engine has not acknowledged goes to the list of late messages. When the new owner has taken that,
this node lets the broker go: until then the broker has talked to it alone, so that the order of its
messages holds. What the broker has sent meanwhile goes to the list then, and at last this node says
that it is done.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from secrets import token_hex

from twisted.internet.task import deferLater
from twisted.logger import Logger

from recodex_monitor.relay.connection import EngineAway, EngineError
from recodex_monitor.relay.engine import Commands, Script
from recodex_monitor.relay.late import CHUNK
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.parts import Parts
from recodex_monitor.relay.pending import Pending

_log = Logger()

POLL = 0.05
"""Seconds between two checks whether the new owner has taken the late messages."""

MARK_KEPT = 3600
"""Seconds for which the engine remembers that it has had an entry."""

_APPEND = Script("""
-- KEYS: the list, a mark of the entry. ARGV: the entry, the mark's seconds to live. The entry may
-- have been there before, since the reply may have been lost.
if redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[2]) then
  redis.call('RPUSH', KEYS[1], ARGV[1])
end
return 1
""")

Numbered = list[tuple[int, bytes]]
"""Texts with their numbers."""


class Entry:
    """An entry of the list of late messages.

    Attributes:
        id: random.
        text: the id and JSON.
    """

    def __init__(self, **fields: object) -> None:
        """Make one; see ``LateMessages`` for the fields."""
        self.id = token_hex(8)
        self.text = f"{self.id} {json.dumps(fields)}"


def entries_of(rest: Iterable[Pending], token: str) -> Iterator[Entry]:
    """The entries by which messages are handed over.

    Those that came from the list are still there, and not among them.

    Args:
        rest: the messages.
        token: of the owner that may have pushed some of them; empty if nobody has.
    """
    for pending in rest:
        last = pending.first + len(pending.texts) - 1
        for chunk in _chunks(pending):
            yield Entry(
                channel=pending.channel_id,
                token=token,
                first=chunk[0][0],
                texts=[text.decode() for _, text in chunk],
                end=pending.end if chunk[-1][0] == last else None,
            )


def _chunks(pending: Pending) -> Iterator[Numbered]:
    """Texts that are not from the list, those together that follow each other."""
    chunk: Numbered = []
    for number, text in enumerate(pending.texts, pending.first):
        if number not in pending.late:
            chunk.append((number, text))
        if chunk and (number in pending.late or len(chunk) == CHUNK):
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def append(engine: Commands, keys: Keys, entries: list[Entry]) -> None:
    """Move entries to the list, and tell the owner.

    Raises:
        EngineAway: the engine is away; ``entries`` has those that may not be there.
    """
    while entries:
        entry = entries[0]
        await engine.run(_APPEND, [keys.late, f"{keys.late}:{entry.id}"], [entry.text, MARK_KEPT])
        del entries[0]
    await engine.call("PUBLISH", keys.late, "new")


class Yielding:
    """Hands over what one owner had."""

    def __init__(self, parts: Parts, patience: float) -> None:
        """Begin with nothing handed over.

        Args:
            parts: of this node.
            patience: seconds after which the order of messages is given up, not the messages.
        """
        self._parts = parts
        self._until = parts.clock.seconds() + patience
        self.is_hasty = False
        self._is_refused = False

    async def hand_over(self, rest: list[Pending], token: str) -> None:
        """Hand over this, and what the broker says until it is let go.

        Args:
            rest: what was taken from the intake.
            token: of the owner that this node was.
        """
        parts = self._parts
        others: set[bytes] = set()

        async def look() -> None:
            others.update(await self._yielding())

        async def begin() -> None:
            await parts.engine.call("SADD", parts.keys.yielding, parts.name)

        async def end() -> None:
            await parts.engine.call("SREM", parts.keys.yielding, parts.name)
            await parts.engine.call("PUBLISH", parts.keys.late, "done")

        # Not again where the reply to what follows is lost: each would wait for the other.
        await self._surely(look)
        others.discard(parts.name.encode())
        await self._surely(begin)
        # What they hand over came to them before anything came to this node.
        await self._while(lambda: self._is_any_of(others))
        await self._append(rest, token)
        await self._while(self._is_awaited)
        parts.broker.stopService()
        # None of these was pushed, so the new owner is to take all of them.
        await self._append(parts.publisher.intake.take_all(), "")
        await self._surely(end)

    async def _append(self, rest: list[Pending], token: str) -> None:
        parts, entries = self._parts, [*entries_of(rest, token)]
        if await self._surely(lambda: append(parts.engine, parts.keys, entries)):
            count = sum(len(pending.texts) for pending in rest)
            _log.info("handed over {count} messages", count=count)
        else:
            _log.error("stopping, {count} late entries are lost", count=len(entries))

    async def _surely(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do something as soon as the engine takes it; returns whether it was done."""
        while True:
            try:
                await work()
            except (EngineAway, EngineError) as error:
                if isinstance(error, EngineError) and not self._is_refused:
                    self._is_refused = True
                    _log.error("handing over waits, the engine refused: {why}", why=error)
                if self.is_hasty and self._parts.clock.seconds() > self._until:
                    return False
                await deferLater(self._parts.clock, POLL)
            else:
                return True

    async def _while(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait while something holds, or the engine is away, but not for ever."""
        while self._parts.clock.seconds() < self._until:
            with suppress(EngineAway, EngineError):
                if not await holds():
                    return
            await deferLater(self._parts.clock, POLL)

    async def _is_awaited(self) -> bool:
        """Whether another node is about to take what was handed over.

        If no node owns, perhaps none can as long as the broker is connected to this one.
        """
        call, keys = self._parts.engine.call, self._parts.keys
        return bool(await call("LLEN", keys.late)) and bool(await call("GET", keys.lease))

    async def _is_any_of(self, nodes: set[bytes]) -> bool:
        """Whether one of these is still handing over."""
        return bool(nodes) and not nodes.isdisjoint(await self._yielding())

    async def _yielding(self) -> Iterable[bytes]:
        """The nodes that are handing over."""
        nodes: Iterable[bytes] = await self._parts.engine.call(
            "SMEMBERS", self._parts.keys.yielding
        )
        return nodes
