"""Late messages: what a node that no longer owns has still heard from the broker.

It writes them to a list in the engine; the new owner appends them to their channels and removes
them from the list by the call that pushes them. While a node hands over, the broker may still talk
to it. Until that is done and the list is empty, the engine takes none of the messages that the new
owner hears itself: they come after the late ones, whichever node owns by then.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.logger import Logger

from recodex_monitor.channels.channel import End
from recodex_monitor.relay.connection import EngineAway, EngineError
from recodex_monitor.relay.engine import Commands
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.publisher import Publisher
from recodex_monitor.relay.tops import Tops
from recodex_monitor.timing.clock import Clock

_log = Logger()

CHUNK = 200
"""Messages in one entry."""

READ, MOST_BYTES = 10, 2**20
"""Entries that are read at once, and bytes of them, but one at least: they are pushed at once."""

HOLD_TIMEOUT = 5.0
"""Seconds after which a new owner no longer waits for the rest of another's messages."""


class Entry(NamedTuple):
    """An entry of the list.

    Attributes:
        id: random.
        channel_id: of the channel.
        texts: of the messages that the engine does not have yet.
        end: how the channel ends with the last of them; None if it does not.
    """

    id: bytes
    channel_id: str
    texts: list[bytes]
    end: End | None


class LateMessages:
    """The new owner's side of the list.

    Attributes:
        count: messages that were taken from it, since the start.
        holding: the nodes that hand over, as they were seen last.
        tops: tell what of an entry another owner had pushed.
    """

    def __init__(self, engine: Commands, keys: Keys, publisher: Publisher, clock: Clock) -> None:
        """Read nothing yet."""
        self.count = 0
        self.holding: set[str] = set()
        self.tops = Tops(engine, keys)
        self._publisher = publisher
        self._clock = clock
        self._changed_at = 0.0
        self._taken: set[bytes] = set()
        self._is_buried = False
        self._engine = engine
        self._keys = keys

    async def begin(self, name: str) -> None:
        """Become the owner: nothing was taken yet.

        Args:
            name: of this node.

        Raises:
            EngineAway: the engine is away.
        """
        self._taken.clear()
        self._changed_at = self._clock.seconds()
        self._is_buried = False
        await self.bury(name)

    async def bury(self, name: str) -> None:
        """Let nobody wait for an earlier process of this node, which may have died handing over.

        Raises:
            EngineAway: the engine is away, and it is to be tried again.
        """
        if not self._is_buried:
            await self._engine.call("SREM", self._keys.yielding, name)
            self._is_buried = True

    async def take(self, owns: Callable[[], bool]) -> None:
        """Take some of the list if there is something, and push that; else let the intake go on.

        The publisher calls ``on_late`` when this is to be called again.

        Args:
            owns: whether this node still owns.

        Raises:
            EngineAway: the engine is away.
        """
        # In this order: a node adds what it hands over to the list before it leaves this set.
        nodes = await self._engine.call("SMEMBERS", self._keys.yielding)
        entries = await self._read()
        if not owns() or self._publisher.late:
            return
        holding = {node.decode(errors="replace") for node in nodes}
        if holding != self.holding or entries:
            self.holding, self._changed_at = holding, self._clock.seconds()
        if not entries and not holding:
            self._publisher.intake.is_held = False
            self._publisher.flush()
            return
        self._publisher.intake.is_held = True
        if entries and self._publisher.is_ready:
            self._take(entries)
            self._publisher.flush()

    async def _read(self) -> list[Entry]:
        """The first entries of the list."""
        found: list[Entry] = []
        size = 0
        for entry in await self._engine.call("LRANGE", self._keys.late, 0, READ - 1):
            size += len(entry)
            if found and size > MOST_BYTES:
                break
            name, _, fields = entry.partition(b" ")
            try:
                found.append(await self._entry(name, json.loads(fields)))
            except (ValueError, KeyError, TypeError, AttributeError):
                _log.error(
                    "dropped an entry that is not a late message: {entry!r}", entry=entry[:200]
                )
                found.append(Entry(name, "", [], None))
        return found

    async def _entry(self, name: bytes, fields: dict[str, Any]) -> Entry:
        channel_id, token, end = fields["channel"], fields["token"], fields["end"]
        top = await self.tops.of(token, channel_id) if token else 0
        texts = [text.encode() for text in fields["texts"][max(0, top - fields["first"] + 1) :]]
        return Entry(name, channel_id, texts, End(end) if end is not None else None)

    def tick(self, *, is_up: bool) -> None:
        """Stop waiting for nodes that do not hand over; to be called every second.

        Args:
            is_up: whether the engine is there; what others hand over cannot come without it.
        """
        now = self._clock.seconds()
        if not is_up or not self._publisher.intake.is_held or not self.holding:
            self._changed_at = now
        elif now > self._changed_at + HOLD_TIMEOUT:
            self._changed_at = now
            _log.warn("{nodes} did not hand over in time", nodes=", ".join(sorted(self.holding)))
            forgetting = self._engine.call("SREM", self._keys.yielding, *self.holding)
            forgetting.addErrback(lambda failure: failure.trap(EngineAway, EngineError))

    def _take(self, entries: list[Entry]) -> None:
        for one in entries:
            # An engine that lost data may give entries again that this owner has already.
            if one.id not in self._taken and one.texts:
                self._taken.add(one.id)
                self._publisher.intake.insert(one.channel_id, one.texts, one.end)
                self.count += len(one.texts)
        self._publisher.late = [one.id for one in entries]
