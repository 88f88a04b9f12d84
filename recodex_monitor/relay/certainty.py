"""Certainty: a client's id counts as unknown only if the engine, being whole, does not have it.

A client may have got more from another node than this one has: its session with the engine may be
cut, it may have stood still and not know that another owns by now, or the engine has come back
empty and its owner is about to send again what it lacks.
"""

from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from recodex_monitor.channels.event_ids import count_at
from recodex_monitor.relay.connection import EngineAway, EngineError
from recodex_monitor.relay.engine import Engine
from recodex_monitor.relay.follower import Follower
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.lease import Lease
from recodex_monitor.relay.parts import Role

PAUSE = 0.05
"""Seconds between two checks whether an owner has made the engine whole."""

TIMEOUT = 3.0
"""Seconds after which a client should rather try another node."""


class Node(Protocol):
    """What is needed of a node: ``Relay``.

    Attributes:
        engine: has all messages.
        follower: reads channels into the hub.
    """

    engine: Engine
    follower: Follower

    @property
    def role(self) -> Role:
        """Of the node, as far as it knows."""


class Certainty:
    """Looks for messages that clients have got from other nodes."""

    def __init__(self, node: Node, keys: Keys, lease: Lease, clock: Any) -> None:
        """Look for nothing yet.

        Args:
            node: to which the clients connect.
            keys: have the fence's name.
            lease: has this node's token.
            clock: tells the time, and calls later.
        """
        self._node = node
        self._keys = keys
        self._lease = lease
        self._clock = clock

    def has(self, channel_id: str, after: str) -> bool:
        """Whether the hub has the message with this id; True for an empty id."""
        channel = self._node.follower.hub.channels.get(channel_id)
        return not after or (channel is not None and count_at(channel, after) is not None)

    async def look(self, channel_id: str, after: str) -> bool:
        """Get a message into the hub, if the engine has it; False if that remains uncertain."""
        until = self._clock.seconds() + TIMEOUT
        while not self.has(channel_id, after):
            try:
                if await self._read(channel_id):
                    return True
            except (EngineAway, EngineError):
                pass
            if self._clock.seconds() > until:
                return False
            await deferLater(self._clock, PAUSE)
        return True

    async def _read(self, channel_id: str) -> bool:
        """Read a channel; returns whether the engine was whole before and after that.

        Raises:
            EngineAway: the engine is away.
            EngineError: the engine refuses.
        """
        if not await self._is_whole():
            return False
        if self._node.role is Role.OWNER:
            return True
        read: Deferred[bool] = Deferred()
        self._node.follower.when_loaded(
            channel_id, lambda: read.callback(True), lambda: read.callback(False), anew=True
        )
        return await read and await self._is_whole()

    async def _is_whole(self) -> bool:
        """Whether an owner has made sure that this engine has all messages; this node, if it owns.

        Raises:
            EngineAway: the engine is away.
            EngineError: the engine refuses.
        """
        engine = self._node.engine
        token, run = await engine.call("HMGET", self._keys.fence, "token", "run")
        if run is None or run.decode() != engine.facts.run:
            return False
        return self._node.role is not Role.OWNER or token == self._lease.token.encode()
