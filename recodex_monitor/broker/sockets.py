"""The broker's side: a ZeroMQ ROUTER socket to which the ReCodEx broker connects.

``import txzmq`` imports the global reactor, so nothing else may import it, and nothing that
must not have a reactor may import this module.
"""

import os
from collections.abc import Callable
from struct import unpack
from typing import Protocol

import zmq
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from txzmq import ZmqConnection, ZmqEndpoint, ZmqEndpointType, ZmqFactory
from zmq.backend import zmq_poll

from recodex_monitor.broker import zap
from recodex_monitor.broker.draining import IPC
from recodex_monitor.broker.peers import Peers
from recodex_monitor.broker.zap import Guard
from recodex_monitor.channels.message import MalformedMessage, Message, parse
from recodex_monitor.network.addresses import FILE_MODE, clear
from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.schema import Limits
from recodex_monitor.timing.throttle import Dropped

_log = Logger()

IDENTITY = b"recodex-monitor"
"""The name by which the broker addresses the monitor."""

# As plain numbers, since operations on pyzmq's enumerations take a microsecond each.
_NOBLOCK, _POLLIN = int(zmq.NOBLOCK), int(zmq.POLLIN)

EXIT = parse([b"0", b"exit"])
"""The message that ends a monitor whose settings allow it."""


class Publish(Protocol):
    """What takes the messages, see ``Hub.publish``."""

    def __call__(self, messages: list[Message], *, more: bool = False) -> None:
        """Publish messages; ``more`` are about to follow."""


class BrokerConnection(ZmqConnection):  # type: ignore[misc]
    """The ROUTER socket: reads a bounded number of messages a turn and publishes them.

    Reading a flood to its end kept a WebSocket handshake waiting for up to 2.3 s; with 200
    messages a turn it is a few milliseconds, at no cost.

    Attributes:
        publish: called with the messages of a turn; may be replaced at any time.
    """

    socketType = zmq.ROUTER
    read_scheduled: IDelayedCall | None

    def __init__(
        self,
        factory: ZmqFactory,
        limits: Limits,
        publish: Publish,
        on_exit: Callable[[], None] | None,
        guard: Guard | None,
    ) -> None:
        """Make the socket, not yet bound.

        Args:
            factory: holds the ZeroMQ context and the reactor.
            limits: of messages, and of what ZeroMQ takes in before it is read.
            publish: called with the messages of a turn.
            on_exit: called when the broker asks the monitor to exit; None where it may not.
            guard: says who may be a broker; None where everybody may.
        """
        # All before the base class, which reads from the socket at once.
        self.dropped = Dropped(_log, "broker message", factory.reactor.seconds)
        self._limits = limits
        self.publish = publish
        self._on_exit = on_exit
        self._guard = guard
        self._more = False
        self.highWaterMark = limits.high_water_mark
        # The identity must be set before bind: a broker whose first connection came to a
        # monitor without one never delivers to it again.
        super().__init__(factory, identity=IDENTITY)
        self._polled = [(self.socket, _POLLIN)]
        self.socket.set(zmq.MAXMSGSIZE, limits.max_frame_size)

    def bind_file(self, file: SocketFile) -> None:
        """Bind to a Unix socket's file.

        Raises:
            OSError: the file cannot be made, somebody listens there, or it is something else.
        """
        # ZeroMQ itself would put its own in the place of a file on which somebody listens.
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

        The descriptor tells of new messages only once (it is edge-triggered), so a turn that
        stops before the end asks for another.
        """
        if self.factory is None:
            return
        scheduled, self.read_scheduled = self.read_scheduled, None
        if scheduled is not None and scheduled.active():
            scheduled.cancel()
        if self.read_turn() == self._limits.messages_a_turn:
            self.read_scheduled = self.factory.reactor.callLater(0, self.doRead)

    def read_turn(self) -> int:
        """Read and publish at most a turn's messages; returns how many there were."""
        receive, most = self.socket.recv, self._limits.messages_a_turn
        messages: list[Message] = []
        count = 0
        while count < most:
            # Mostly there is one message. To ask costs half of what it does to be told by an
            # exception, but too much to do for each message of a flood. To ask the socket itself
            # takes 3 to 4 µs more of a lone delivery.
            if count == 1 and not zmq_poll(self._polled, 0):
                break
            try:
                receive(_NOBLOCK)  # the identity, behind which there always is a frame
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
                messages.append(parse(frames, self._limits.max_channel_id))
            except MalformedMessage as malformed:
                self.dropped.add(malformed.reason, malformed)
        if self._on_exit is not None and EXIT in messages:
            self._on_exit()
            messages = [message for message in messages if message != EXIT]
        if messages or self._more:
            self._more = count == most
            # An exception that left doRead would make the reactor read from this socket no more.
            try:
                self.publish(messages, more=self._more)
            except Exception:
                _log.failure("publishing {count} messages failed", count=len(messages))
        return count


_ACCEPTED = zmq.EVENT_ACCEPTED
_CAME, _WENT = zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_DISCONNECTED
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
)
_WATCHED = int(_ACCEPTED | _CAME | _WENT | _FAILED[0] | _FAILED[1] | _FAILED[2])
_EVENTS_ADDRESS = "inproc://peers"


class PeerEvents(ZmqConnection):  # type: ignore[misc]
    """Reads what ZeroMQ tells of the connections of a socket."""

    socketType = zmq.PAIR

    def __init__(self, factory: ZmqFactory, watched: BrokerConnection, peers: Peers) -> None:
        """Begin to read.

        Args:
            factory: holds the ZeroMQ context and the reactor.
            watched: whose connections they are.
            peers: is told.
        """
        self._peers = peers
        self._watched = watched
        watched.socket.monitor(_EVENTS_ADDRESS, _WATCHED)
        super().__init__(factory, ZmqEndpoint(ZmqEndpointType.connect, _EVENTS_ADDRESS))

    def messageReceived(self, message: list[bytes]) -> None:
        """Called by txZMQ with an event: its number and a value, and our address.

        The values do not tell one connection from another.
        """
        event, _ = unpack("=HI", message[0])
        if event == _ACCEPTED:
            self._peers.accepted()
        elif event == _CAME:
            self._peers.came()
        elif event == _WENT:
            self._peers.went()
        elif event in _FAILED:
            self._peers.failed()

    def shutdown(self) -> None:
        """Read no more; ZeroMQ must not be left with a place to tell events to."""
        self._watched.socket.disable_monitor()
        super().shutdown()


class Questions(ZmqConnection):  # type: ignore[misc]
    """Has ZeroMQ's questions about who connects answered."""

    socketType = zmq.REP

    def __init__(self, factory: ZmqFactory, guard: Guard) -> None:
        """Begin to answer.

        Args:
            factory: holds the ZeroMQ context and the reactor.
            guard: knows the answers.
        """
        self._guard = guard
        super().__init__(factory, ZmqEndpoint(ZmqEndpointType.bind, zap.ENDPOINT))

    def messageReceived(self, message: list[bytes]) -> None:
        """Called by txZMQ with a question, the next of which comes only after an answer."""
        try:
            answer = self._guard.answer(message)
        except Exception:
            _log.failure("whether a broker may connect could not be said")
            answer = [*message[:2], b"500", b"failed", b"", b""]
        self.send(answer)


class Sockets:
    """All sockets of the broker's side, in one ZeroMQ context.

    Attributes:
        connection: the broker's messages; not yet bound.
    """

    def __init__(
        self,
        limits: Limits,
        publish: Publish,
        on_exit: Callable[[], None] | None,
        guard: Guard | None,
        peers: Peers,
    ) -> None:
        """Make them; for the arguments see BrokerConnection and PeerEvents."""
        self._factory = ZmqFactory()
        # The factory shuts it down. It has to be there before the first connection.
        if guard is not None:
            Questions(self._factory, guard)
        self.connection = BrokerConnection(self._factory, limits, publish, on_exit, guard)
        self._events = PeerEvents(self._factory, self.connection, peers)

    def read_events(self) -> None:
        """Read now what ZeroMQ has told of connections."""
        self._events.doRead()

    def close(self) -> None:
        """Close all of them, without reading what is left."""
        self._events.shutdown()
        # Closes its sockets first: the end of a context waits for its last socket.
        self._factory.shutdown()
