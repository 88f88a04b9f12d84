"""The ZeroMQ sockets of the broker's side: its messages, its connections, and access to it.

``import txzmq`` imports the global reactor, so nothing else may import it, and nothing that
must not have a reactor may import this module.
"""

import os
from collections.abc import Callable

import zmq
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from txzmq import ZmqConnection, ZmqEndpoint, ZmqEndpointType, ZmqFactory
from zmq.backend import zmq_poll

from recodex_monitor.broker import events, zap
from recodex_monitor.broker.draining import IPC
from recodex_monitor.broker.peers import Peers
from recodex_monitor.broker.zap import Guard
from recodex_monitor.channels.hub import Publish
from recodex_monitor.channels.message import MalformedMessage, Message, parse
from recodex_monitor.network.addresses import FILE_MODE, clear
from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.throttle import ThrottledCounts

_log = Logger()

IDENTITY = b"recodex-monitor"
"""The name by which the broker addresses the monitor."""

EXIT = parse([b"0", b"exit"])
"""The message that ends a monitor whose settings allow it."""

# Plain numbers: operations on pyzmq's enumerations take a microsecond each.
_NOBLOCK, _POLLIN = int(zmq.NOBLOCK), int(zmq.POLLIN)


class BrokerConnection(ZmqConnection):  # type: ignore[misc]
    """The ROUTER socket: reads a bounded number of messages a turn and publishes them.

    Reading a flood to its end kept a WebSocket handshake waiting for up to 2.3 s; with 200
    messages a turn it is a few milliseconds, at no cost.

    Attributes:
        publish: called with the messages of a turn; may be replaced at any time.
        dropped: malformed messages, by reason.
    """

    socketType = zmq.ROUTER
    read_scheduled: IDelayedCall | None

    def __init__(
        self,
        factory: ZmqFactory,
        settings: LiveSettings,
        publish: Publish,
        on_exit: Callable[[], None] | None,
        guard: Guard | None,
    ) -> None:
        """Make the socket, not yet bound.

        Args:
            factory: holds the ZeroMQ context and the reactor.
            settings: limit messages, those read in a turn, and those waiting to be read.
            publish: called with the messages of a turn.
            on_exit: called when the broker asks the monitor to exit; None where it may not.
            guard: decides who may be a broker; None where everybody may.
        """
        # All before the base class, which reads from the socket at once.
        self.dropped = ThrottledCounts(_log, "broker message", factory.reactor.seconds)
        self._settings = settings
        self.publish = publish
        self._on_exit = on_exit
        self._guard = guard
        self._more = False
        self.highWaterMark = settings.limits.high_water_mark
        # The identity must be set before bind: a broker whose first connection came to a
        # monitor without one never delivers to it again.
        super().__init__(factory, identity=IDENTITY)
        self._polled = [(self.socket, _POLLIN)]
        self.socket.set(zmq.MAXMSGSIZE, settings.limits.max_frame_size)
        # A broker that comes back under its identity must not wait for the end of its old
        # connection, which may never come.
        self.socket.set(zmq.ROUTER_HANDOVER, 1)

    @property
    def addresses(self) -> list[str]:
        """The endpoints to which it is bound, as ZeroMQ writes them."""
        return [endpoint.address for endpoint in self.endpoints]

    def bind_file(self, file: SocketFile) -> None:
        """Bind to a socket file.

        Raises:
            OSError: the file cannot be made, another process listens there, or it is no socket.
        """
        # ZeroMQ itself would replace a file on which another process listens.
        clear(file)
        self._protect(zap.FILE)
        self.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, f"{IPC}{file.path}")])
        os.chmod(file.path, FILE_MODE)

    def bind(self, address: Address) -> Address:
        """Bind to a numeric address; returns it with the port that the system picked for 0.

        Raises:
            zmq.ZMQError: the address cannot be bound.
        """
        self.socket.set(zmq.IPV6, int(":" in address.host))
        self._protect(zap.NETWORK)
        self.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, f"tcp://{address}")])
        bound = self.socket.get(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        self.endpoints[-1] = ZmqEndpoint(ZmqEndpointType.bind, bound)
        return Address(address.host, int(bound.rpartition(":")[2]))

    def _protect(self, domain: bytes) -> None:
        if self._guard is not None:
            self._guard.protect(self.socket, domain)

    def doRead(self) -> None:
        """Called when ZeroMQ may have something: reads and publishes a turn's messages.

        The descriptor reports new messages only once (it is edge-triggered), so a turn that
        stops before the end schedules another.
        """
        if self.factory is None:
            return
        scheduled, self.read_scheduled = self.read_scheduled, None
        if scheduled is not None and scheduled.active():
            scheduled.cancel()
        if self.read_turn() == self._settings.limits.messages_a_turn:
            self.read_scheduled = self.factory.reactor.callLater(0, self.doRead)

    def read_turn(self) -> int:
        """Read and publish at most a turn's messages; returns how many there were."""
        limits = self._settings.limits
        receive, most = self.socket.recv, limits.messages_a_turn
        messages: list[Message] = []
        count = 0
        while count < most:
            # Mostly there is one message. Asking for a second costs half of an exception, but is
            # too much for each message of a flood. Asking the socket itself would add 3 to 4 µs
            # to the delivery of a single message.
            if count == 1 and not zmq_poll(self._polled, 0):
                break
            try:
                receive(_NOBLOCK)  # the peer's identity; another frame always follows
            except zmq.Again:
                break
            count += 1
            frames = []
            more = True
            while more:
                # Frames that are not copied take half the time of ``recv_multipart``.
                frame = receive(_NOBLOCK, False)
                frames.append(frame.bytes)
                more = frame.more
            try:
                messages.append(parse(frames, limits.max_channel_id))
            except MalformedMessage as malformed:
                self.dropped.add(malformed.reason, malformed)
        if count or self._more:
            self._publish_turn(messages, count == most)
        return count

    def _publish_turn(self, messages: list[Message], is_full: bool) -> None:
        if self._on_exit is not None and EXIT in messages:
            self._on_exit()
            messages = [message for message in messages if message != EXIT]
        if not messages and not self._more:
            return
        self._more = is_full
        # An exception that left doRead would make the reactor stop reading from this socket.
        try:
            self.publish(messages, more=self._more)
        except Exception:
            _log.failure("publishing {count} messages failed", count=len(messages))


_EVENTS_ADDRESS = "inproc://peers"


class PeerEvents(ZmqConnection):  # type: ignore[misc]
    """Reads ZeroMQ's events about the connections of a socket."""

    socketType = zmq.PAIR

    def __init__(
        self, factory: ZmqFactory, watched: BrokerConnection, peers: Peers, *, wants_curve: bool
    ) -> None:
        """Begin to read.

        Args:
            factory: holds the ZeroMQ context and the reactor.
            watched: whose connections they are.
            peers: counts them.
            wants_curve: whether they must use CURVE.
        """
        self._peers = peers
        self._wants_curve = wants_curve
        self._watched = watched
        watched.socket.monitor(_EVENTS_ADDRESS, events.WATCHED)
        super().__init__(factory, ZmqEndpoint(ZmqEndpointType.connect, _EVENTS_ADDRESS))

    def messageReceived(self, message: list[bytes]) -> None:
        """Called by txZMQ with an event."""
        events.apply(message[0], self._peers, wants_curve=self._wants_curve)

    def shutdown(self) -> None:
        """Stop reading; ZeroMQ must stop sending events before their reader is gone."""
        self._watched.socket.disable_monitor()
        super().shutdown()


class ZapHandler(ZmqConnection):  # type: ignore[misc]
    """Answers ZeroMQ's requests about who may connect (see ``zap``)."""

    socketType = zmq.REP

    def __init__(self, factory: ZmqFactory, guard: Guard, peers: Peers) -> None:
        """Begin to answer.

        Args:
            factory: holds the ZeroMQ context and the reactor.
            guard: decides.
            peers: notes which hosts are refused, and why.
        """
        self._guard = guard
        self._peers = peers
        super().__init__(factory, ZmqEndpoint(ZmqEndpointType.bind, zap.ENDPOINT))

    def messageReceived(self, message: list[bytes]) -> None:
        """Called by txZMQ with a request; without a reply there would never be another."""
        try:
            reply = self._guard.answer(message)
            if reply[2] == zap.REFUSED:
                self._peers.refuse(reply[3].decode(), message[3].decode("ascii", "replace"))
        except Exception:
            _log.failure("ZAP authentication failed with an internal error")
            reply = [*message[:2], b"500", b"failed", b"", b""]
        self.send(reply)


class Sockets:
    """All sockets of the broker's side, in one ZeroMQ context.

    Attributes:
        connection: the broker's messages; not yet bound.
    """

    def __init__(
        self,
        settings: LiveSettings,
        publish: Publish,
        on_exit: Callable[[], None] | None,
        guard: Guard | None,
        peers: Peers,
    ) -> None:
        """Make them; for the arguments see BrokerConnection and PeerEvents."""
        self._factory = ZmqFactory()
        # The handler must be there before the first connection.
        if guard is not None:
            ZapHandler(self._factory, guard, peers)
        self.connection = BrokerConnection(self._factory, settings, publish, on_exit, guard)
        wants_curve = guard is not None and guard.wants_curve
        self._events = PeerEvents(self._factory, self.connection, peers, wants_curve=wants_curve)

    def read_events(self) -> None:
        """Read now what ZeroMQ has reported of connections."""
        self._events.doRead()

    def close(self) -> None:
        """Close all of them, without reading what is left."""
        self._events.shutdown()
        # Closes its sockets first: the end of a context waits for its last socket.
        self._factory.shutdown()
