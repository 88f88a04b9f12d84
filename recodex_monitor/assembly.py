"""Makes the parts of a monitor from its settings, and wires them.

The only file that knows all parts: each part gets what it needs as arguments and imports no other.
Optional parts are imported only if the settings ask for them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.application.internet import TimerService
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger

from recodex_monitor import __version__
from recodex_monitor.broker.service import BrokerService
from recodex_monitor.broker.zap import make_guard
from recodex_monitor.channels.hub import Hub, Publish
from recodex_monitor.channels.message import Message
from recodex_monitor.clients.detection import PublicFactory
from recodex_monitor.history.journal import Journal
from recodex_monitor.network.listener import Listener
from recodex_monitor.settings import export, schema
from recodex_monitor.settings.schema import LiveSettings, Settings
from recodex_monitor.system import systemd
from recodex_monitor.system.log import Log
from recodex_monitor.timing.clock import TICK, LoopClock

if TYPE_CHECKING:
    from recodex_monitor.network.tls import Certificate
    from recodex_monitor.relay.relay import Relay
    from recodex_monitor.status.inspection import Inspection
    from recodex_monitor.status.service import StatusService

_log = Logger()


@dataclass(frozen=True)
class Parts:
    """The parts of a monitor.

    Attributes:
        live: the settings that a reload may change; the parts share this object.
        hub: has the channels.
        journal: saves them; None without a history file.
        broker: listens for the broker.
        clients: makes the connections of the public port.
        port: the public port.
        certificate: of the public port; None without TLS.
        inspection: what the status page shows; None without one.
        status: the private listener; None without one.
        relay: joins it to other nodes; None without a cluster.
        ticks: calls every second what the other parts need to have called.
    """

    live: LiveSettings
    hub: Hub
    journal: Journal | None
    broker: BrokerService
    clients: PublicFactory
    port: Listener
    certificate: "Certificate | None"
    inspection: "Inspection | None"
    status: "StatusService | None"
    relay: "Relay | None"
    ticks: TimerService

    @property
    def taker(self) -> "Hub | Relay":
        """What takes the broker's messages."""
        return self.relay or self.hub

    @property
    def by_key(self) -> dict[str, Service]:
        """The services that listen, by their keys, in the order in which they must start.

        In a cluster, the relay starts and stops the broker's side.
        """
        listeners: dict[str, Service | None] = {
            "zeromq_uri": self.broker if self.relay is None else None,
            "websocket_uri": self.port,
            "status_uri": self.status,
        }
        return {key: one for key, one in listeners.items() if one is not None}

    @property
    def listeners(self) -> tuple[Service, ...]:
        """The services that listen, in the order in which they must start."""
        return tuple(self.by_key.values())


def assemble(
    settings: Settings,
    log: Log,
    reactor: Any,
    is_running: Callable[[], bool],
    on_exit: Callable[[], None],
) -> Parts:
    """Make the parts and wire them; none of them listens yet.

    Args:
        settings: those to begin with.
        log: its level decides whether every message is logged.
        reactor: waits for sockets and for the time.
        is_running: whether the monitor runs and does not stop.
        on_exit: called if the broker asks the monitor to exit and the settings allow it.

    Raises:
        ConfigError: a file that the settings name, such as a certificate, cannot be used.
    """
    live = LiveSettings(settings.channels, settings.limits, settings.clients, settings.page)
    clock = LoopClock(reactor)
    hub = Hub(clock, live, journal := _journal(settings.history, live, clock, reactor))
    relay = _relay(settings, live, hub, clock, reactor)
    broker = _broker(settings, live, choose_publish(relay or hub, log), on_exit, clock)
    clients = PublicFactory(hub, live, clock, _hears(broker, relay))
    clients.access.read(settings.access)()
    hub.retention.trials.on_begin = broker.peers.discount
    certificate, factory = _public(settings, clients, live, reactor)
    port = Listener(settings.websocket_uri, live, factory, reactor, systemd.inherited_sockets())

    def unready() -> list[str]:
        return unready_reasons(is_running(), port, broker, journal, relay)

    def owns() -> bool:
        return bool(broker.running) if relay is None else relay.owns

    sources = (hub, clients.connections, broker, clock, {"log line": log.dropped}, relay)
    page = _status(settings, sources, (unready, owns, relay), reactor)
    ticks = _ticks(clock, (hub, (relay or hub).expire), clients, journal, certificate, reactor)
    return Parts(live, hub, journal, broker, clients, port, certificate, *page, relay, ticks)


def choose_publish(taker: "Hub | Relay", log: Log) -> Publish:
    """The function that takes the broker's messages: one that logs each if debug logging is on.

    Otherwise it is the taker's own method, which saves a call.
    """
    if not log.has_debug:
        return taker.publish

    def publish(messages: list[Message], *, more: bool = False) -> None:
        for message in messages:
            text = message.text.decode()
            _log.debug("{channel!r}: {text}", channel=message.channel_id, text=text)
        taker.publish(messages, more=more)

    return publish


def shown(settings: Settings) -> dict[str, Any]:
    """The version and the settings, as the status page shows them."""
    return {"version": __version__, **export.shown(settings)}


def _broker(
    settings: Settings,
    live: LiveSettings,
    publish: Publish,
    on_exit: Callable[[], None],
    clock: LoopClock,
) -> BrokerService:
    guard = make_guard(settings.zeromq, clock.seconds)
    may_exit = on_exit if settings.zeromq.allow_exit else None
    broker = BrokerService(settings.zeromq_uri, live, publish, may_exit, clock.seconds, guard)
    broker.peer_timeout = settings.zeromq.peer_timeout
    return broker


def _hears(broker: BrokerService, relay: "Relay | None") -> Callable[[], bool]:
    """What tells whether a broker is connected, to whichever node."""
    return (lambda: broker.peers.connected > 0) if relay is None else relay.hears_broker


def _relay(
    settings: Settings, live: LiveSettings, hub: Hub, clock: LoopClock, reactor: Any
) -> "Relay | None":
    if settings.cluster.engine is None:
        return None
    from recodex_monitor.relay.making import make_relay

    return make_relay(settings, live, hub, clock, reactor, __version__)


def _journal(
    history: schema.History, live: LiveSettings, clock: LoopClock, reactor: Any
) -> Journal | None:
    if history.file is None:
        return None

    def in_thread(work: Callable[[], object], then: Callable[[object], object]) -> None:
        threads.deferToThreadPool(reactor, reactor.getThreadPool(), work).addCallback(then)

    def most() -> int:
        return live.limits.max_tombstones

    return Journal(history.file, clock, in_thread, most, sync=history.sync)


def _public(
    settings: Settings, clients: PublicFactory, live: LiveSettings, reactor: Any
) -> "tuple[Certificate | None, IProtocolFactory]":
    """The certificate and the factory of the public port."""
    certificate, factory = _secured(settings.websocket_tls, clients, reactor)
    if settings.websocket_proxy_protocol:
        from recodex_monitor.clients.proxy_protocol import ProxyProtocolFactory

        factory = ProxyProtocolFactory(factory, clients.connections, live)
    return certificate, factory


def _secured(
    settings: schema.Tls, clients: PublicFactory, reactor: Any
) -> "tuple[Certificate | None, IProtocolFactory]":
    """The certificate and the factory of the public port: with TLS if it is configured."""
    if settings == schema.Tls():
        return None, clients
    from recodex_monitor.network import tls

    certificate = tls.Certificate(settings, reactor.seconds)
    refusal = clients.refusal_on_tls_port
    return certificate, tls.SecureFactory(certificate, clients, reactor, refusal)


def _status(
    settings: Settings, sources: tuple[Any, ...], asked: tuple[Any, ...], reactor: Any
) -> "tuple[Inspection | None, StatusService | None]":
    """The status page, which reads from ``sources``, and its listener; ``asked`` answers probes."""
    if settings.status_uri is None:
        return None, None
    from recodex_monitor.status.inspection import Inspection
    from recodex_monitor.status.probes import Probes
    from recodex_monitor.status.service import make_service
    from recodex_monitor.status.statistics import Statistics

    statistics = Statistics(*sources)
    inspection = Inspection(
        statistics, settings=shown(settings), show_addresses=settings.show_addresses
    )
    *probes, relay = asked
    probes.append(relay.readiness.degraded if relay is not None else list)
    parts = (settings, statistics, inspection, Probes(*probes), __version__, reactor)
    return inspection, make_service(*parts)


def unready_reasons(
    is_running: bool,
    port: Listener,
    broker: BrokerService,
    journal: Journal | None,
    relay: "Relay | None" = None,
) -> list[str]:
    """Why clients cannot be served, a text for each reason; empty if they can."""
    reasons = {
        "the monitor stops": not is_running,
        "it does not listen for browsers": not port.running,
        "it does not listen for the broker": relay is None and not broker.running,
        "the history cannot be saved": journal is not None and not journal.works,
    }
    reasons |= dict.fromkeys(relay.readiness.unready() if relay is not None else (), True)
    return [reason for reason, holds in reasons.items() if holds]


def _ticks(
    clock: LoopClock,
    channels: tuple[Hub, Callable[[], None]],
    clients: PublicFactory,
    journal: Journal | None,
    certificate: "Certificate | None",
    reactor: Any,
) -> TimerService:
    """The service that calls the parts every second; one of ``channels`` is what expires them."""
    hub, expire = channels
    heartbeat = systemd.Heartbeat(lambda: _summary(hub), reactor.seconds)
    calls = [clock.tick, expire, *clients.sweeps, heartbeat.beat]
    if journal is not None:
        calls.append(journal.tick)
    if certificate is not None:
        calls.append(certificate.look)
    ticks = TimerService(TICK, call_all, *calls)
    ticks.clock = reactor
    return ticks


def _summary(hub: Hub) -> str:
    """One line for ``systemctl status``."""
    channels = [one.subscriptions for one in hub.channels.values() if not one.is_trial]
    return f"followers: {sum(map(len, channels))}, channels: {len(channels)}"


def call_all(*calls: Callable[[], None]) -> None:
    """Call all of them, and log those that fail: a TimerService ends at the first exception."""
    for call in calls:
        try:
            call()
        except Exception:
            _log.failure("a periodic task failed")
