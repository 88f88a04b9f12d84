"""The source of a node's hub: the engine, or what the node has as the owner."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.channels.source import NotReadable
from recodex_monitor.relay.certainty import Certainty
from recodex_monitor.relay.connection import EngineAway, EngineError
from recodex_monitor.relay.parts import Role
from recodex_monitor.relay.reading import Reading

if TYPE_CHECKING:
    from recodex_monitor.relay.relay import Relay

_log = Logger()

REFUSED_AFTER = 3.0
"""Seconds of an outage after which clients of channels that were not read yet are refused."""


class EngineSource:
    """The source of the hub of a node: the engine, or what the node has as the owner."""

    def __init__(self, relay: "Relay", reading: Reading, certainty: Certainty) -> None:
        """Have what this node has.

        Args:
            relay: of the node.
            reading: reads from the engine.
            certainty: looks for messages that clients have got from other nodes.
        """
        self._certainty = certainty
        self._relay = relay
        self._reading = reading

    def when_loaded(
        self,
        channel_id: str,
        call: Callable[[], object],
        refuse: Callable[[], object],
        after: str = "",
    ) -> None:
        """Call once the hub has all messages of a channel; see channels.source."""

        def make_certain() -> None:
            if self._certainty.has(channel_id, after):
                call()
            else:
                ensureDeferred(self._look_for(channel_id, after, call, refuse))

        self._load(channel_id, make_certain, refuse)

    def _load(
        self, channel_id: str, call: Callable[[], object], refuse: Callable[[], object]
    ) -> None:
        relay = self._relay
        if relay.role is Role.OWNER:
            if relay.hub.retention.find(channel_id) is None and relay.engine.session is not None:
                ensureDeferred(self._look(channel_id, call, refuse))
            else:
                call()
            return
        one = self._relay.follower.followed.get(channel_id)
        if (one is None or not one.is_loaded) and self._relay.engine.away > REFUSED_AFTER:
            raise NotReadable(f"the engine is away, and {channel_id!r} was not read before")
        self._relay.follower.when_loaded(channel_id, call, refuse)

    async def _look(
        self, channel_id: str, call: Callable[[], object], refuse: Callable[[], object]
    ) -> None:
        """Call once it is known whether a channel has ended that the owner does not have."""
        try:
            await self._reading.read_end(channel_id)
        except (EngineAway, EngineError, ValueError) as error:
            _log.debug("the end of {id!r} is not known: {why}", id=channel_id, why=error)
        try:
            if self._relay.role is Role.OWNER:
                call()
            else:
                self._load(channel_id, call, refuse)
        except NoRoom:
            refuse()

    async def _look_for(
        self,
        channel_id: str,
        after: str,
        call: Callable[[], object],
        refuse: Callable[[], object],
    ) -> None:
        """Call once it is certain whether a message is anywhere, or refuse."""
        try:
            if await self._certainty.look(channel_id, after):
                call()
                self._relay.follower.unfollowed(channel_id)
            else:
                refuse()
        except NoRoom:
            refuse()
        except Exception:
            _log.failure("a client of {id!r} could not begin to follow", id=channel_id)
            refuse()

    def unfollowed(self, channel: Channel) -> None:
        """Note that nobody follows a channel any more; see channels.source."""
        if self._relay.hub.channels.get(channel.id) is channel:
            self._relay.follower.unfollowed(channel.id)

    def forget(self, channel: Channel) -> None:
        """Note that the hub has removed a channel."""
        self._relay.follower.forget(channel.id)
        self._relay.publisher.intake.forget(channel)
        if self._relay.role is Role.OWNER and self._relay.publisher.token is not None:
            self._relay.evicting.removed(channel, self._relay.publisher.token)
