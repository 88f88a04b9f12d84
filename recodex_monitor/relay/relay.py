"""The relay of one node: joins its hub to the engine."""

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.retention import remove_due
from recodex_monitor.relay import report
from recodex_monitor.relay.asking import Asking, make_ask
from recodex_monitor.relay.certainty import Certainty
from recodex_monitor.relay.connection import EngineAway, EngineError
from recodex_monitor.relay.dialing import Dialer
from recodex_monitor.relay.endpoint import EngineEndpoint
from recodex_monitor.relay.engine import Engine
from recodex_monitor.relay.evicting import Evicting
from recodex_monitor.relay.follower import Follower
from recodex_monitor.relay.late import LateMessages
from recodex_monitor.relay.lease import Lease
from recodex_monitor.relay.loading import Loading
from recodex_monitor.relay.mirror import Mirror
from recodex_monitor.relay.nodes import Nodes
from recodex_monitor.relay.ownership import Ownership
from recodex_monitor.relay.parts import Broker, Parts, Role
from recodex_monitor.relay.primaries import Primaries
from recodex_monitor.relay.publisher import Publisher
from recodex_monitor.relay.readiness import Readiness
from recodex_monitor.relay.reading import Reading
from recodex_monitor.relay.source import REFUSED_AFTER, EngineSource
from recodex_monitor.settings.schema import Cluster, LiveSettings
from recodex_monitor.timing.clock import LoopClock

_log = Logger()

TIMEOUT_LEASES = 3
"""Leases after which an engine that says nothing is given up."""


class About(NamedTuple):
    """What else a node reports of itself.

    Attributes:
        version: of the monitor.
        status: host and port of the private listener; no port if it is a Unix socket.
        engine: its address, without a password.
    """

    version: str = ""
    status: tuple[str, int] = ("", 0)
    engine: str = ""


class Relay:
    """Joins a hub to the engine; the engine's ``Listener``.

    Attributes:
        name: of this node.
        hub: of this node.
        mirror: keeps it equal to the engine.
        endpoint: connects to the engine.
        engine: the connection.
        ownership: whether this node owns.
        publisher: takes the broker's messages.
        source: of the hub.
        follower: reads what clients of this node follow.
        evicting: decides what may be evicted, if this node owns.
        readiness: whether clients can be served.
        primaries: looks whether another server is to be used.
        nodes: all nodes, as they report themselves.
        about: what else this node reports of itself.
        report: gives the cluster as this node sees it; see ``report.cluster``.
        asking: asks other nodes whether one owns.
        behind: seconds for which there have been channels that are not read yet.
    """

    def __init__(
        self, settings: Cluster, live: LiveSettings, hub: Hub, clock: LoopClock, dialer: Dialer
    ) -> None:
        """Connect to nothing yet.

        Args:
            settings: of the cluster.
            live: have the limits and times of channels.
            hub: gets all messages from here.
            clock: the hub's.
            dialer: reaches the engine; leases lapse by its reactor's time.
        """
        keys, reactor = dialer.keys, dialer.reactor
        self.endpoint = EngineEndpoint(dialer)
        self.engine = engine = Engine(self.endpoint, self, reactor, dialer.timeout)
        self.mirror = mirror = Mirror(hub, clock)
        self.publisher = Publisher(engine, keys, mirror, live, reactor)
        self.follower = Follower(engine, keys, mirror, reactor)
        self.late = LateMessages(engine, keys, self.publisher, reactor)
        self.readiness = Readiness(engine)
        self.evicting = Evicting(engine, keys, hub, live, clock)
        self.nodes = Nodes(engine, keys, settings.node, lambda: report.node(self))
        self.publish = self.publisher.publish
        self.about = About()
        self.report = lambda: report.cluster(self)
        self.ownership: Ownership | None = None
        self.name, self._settings, self._keys = settings.node, settings, keys
        self.hub = hub
        self.primaries = Primaries(dialer, engine)
        self._clock = clock
        self._reactor = reactor
        self._lease = Lease(engine, keys, settings.node, settings.lease)
        self._calls: list[LoopingCall] = []
        self._broker: Broker | None = None
        self.seconds = reactor.seconds
        self.behind = 0.0
        self.asking = Asking(lambda: self.ownership, make_ask(reactor))
        certainty = Certainty(self, keys, self._lease, reactor)
        hub.source = self.source = EngineSource(self, Reading(engine, keys, mirror), certainty)
        hub.retention.on_removed = self.source.forget

    def start(self, broker: Broker) -> None:
        """Connect to the engine; from now on this node may become the owner.

        Args:
            broker: is started when this node becomes the owner, and stopped when it no longer is.
        """
        self._broker = broker
        loading = Loading(self.engine, self._keys, self.mirror)
        name, engine, keys, reactor = self.name, self.engine, self._keys, self._reactor
        own = self._lease, self.publisher, self.follower, self.mirror, loading, self.primaries
        parts = Parts(name, engine, keys, *own, self.late, self.evicting, broker, reactor)
        settings = self._settings
        self.ownership = Ownership(
            parts,
            may_own=settings.owner == "auto",
            lease=settings.lease,
            patience=settings.patience,
        )
        self.engine.start()
        for seconds, call in ((settings.lease / 3, self.ownership.tick), (1.0, self._tick)):
            self._calls.append(_every(seconds, call, self._reactor))

    async def give_up(self, timeout: float) -> None:
        """Hand the owner's role to another node, if this one has it, within some seconds."""
        if self.ownership is not None:
            await self.ownership.stop(timeout)

    def stop(self) -> "Deferred[Any]":
        """Leave the engine."""
        for call in self._calls:
            call.stop()
        self._calls.clear()
        return self.engine.stop()

    @property
    def role(self) -> Role:
        """Of this node."""
        return self.ownership.role if self.ownership is not None else Role.EDGE

    @property
    def owns(self) -> bool:
        """Whether the broker should talk to this node."""
        return self.ownership is not None and self.ownership.owns

    def hears_broker(self) -> bool:
        """Whether a broker is connected to the node that owns, as far as this one knows."""
        if self.owns and self._broker is not None:
            return self._broker.peers.connected > 0
        return any(one.get("broker") for one in self.nodes.told.values())

    def _tick(self) -> None:
        self.behind = self.behind + 1 if self.follower.unread else 0.0
        self.engine.tick()
        if self.role is Role.OWNER and self.engine.away > self._settings.patience:
            told = self.nodes.told.values()
            self.asking.begin(one["status"] for one in told if one["name"] != self.name)
        self.publisher.tick()
        self.follower.tick()
        if self.engine.away > REFUSED_AFTER:
            self.follower.refuse_waiting()
        self.late.tick(is_up=self.engine.session is not None)
        if self.engine.session is not None:
            ensureDeferred(self.nodes.beat()).addErrback(_ignored)
            ensureDeferred(self.primaries.tick()).addErrback(_ignored)
            if self.role is Role.OWNER:
                ensureDeferred(self.evicting.tick()).addErrback(_ignored)

    def expire(self) -> None:
        """Remove channels whose retention is over; only an owner also ends channels."""
        if self.role is Role.OWNER:
            self.hub.expire()
            return
        for _ in remove_due(self.hub.retention, self._clock.seconds()):
            pass

    def began(self) -> None:
        """Called when a session has begun; see engine.Listener."""
        self.engine.subscribe([self._keys.lease.encode(), self._keys.late.encode()])
        ensureDeferred(self._set_time()).addErrback(_ignored)
        self.follower.began()
        if self.ownership is not None:
            self.ownership.began()
            if not self.ownership.changes:
                ensureDeferred(self.late.bury(self.name)).addErrback(_ignored)
        ensureDeferred(self.nodes.beat()).addErrback(_ignored)

    def ended(self) -> None:
        """Called when the session has ended; see engine.Listener."""
        if self.ownership is not None:
            self.ownership.ended()

    async def _set_time(self) -> None:
        seconds, micros = map(int, await self.engine.call("TIME"))
        self.mirror.offset = self._clock.seconds() - seconds - micros / 1e6

    def subscribed(self, name: bytes) -> None:
        """Called when a subscription has begun; see engine.Listener."""
        channel_id = self._keys.channel_id(name)
        if channel_id:
            self.follower.subscribed(channel_id)

    def told(self, name: bytes, payload: bytes) -> None:
        """Called with what was published; see engine.Listener."""
        channel_id = self._keys.channel_id(name)
        if channel_id:
            self.follower.told(channel_id, payload)
        elif self.ownership is None:
            return
        elif name == self._keys.lease.encode():
            self.ownership.tick()
        elif name == self._keys.late.encode():
            self.ownership.read_late()


def _every(seconds: float, call: Callable[[], object], reactor: Any) -> LoopingCall:
    """Call again and again, whether it fails or not."""

    def guarded() -> None:
        try:
            call()
        except Exception:
            _log.failure("a periodic task of the relay failed")

    looping = LoopingCall(guarded)
    looping.clock = reactor
    looping.start(seconds, now=False)
    return looping


def _ignored(failure: Failure) -> None:
    """Ignore that the engine was lost, which is noticed otherwise."""
    failure.trap(EngineAway, EngineError)
