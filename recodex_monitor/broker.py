"""The broker's side: a ZeroMQ ROUTER socket to which the ReCodEx broker connects.

``import txzmq`` imports the global reactor, so nothing else may import it, and nothing that
must not have a reactor may import this module.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol

import zmq
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from txzmq import ZmqConnection, ZmqEndpoint, ZmqEndpointType, ZmqFactory

from recodex_monitor.addresses import resolve
from recodex_monitor.config import Address, Limits
from recodex_monitor.dropped import Dropped
from recodex_monitor.messages import MalformedMessage, Message, parse

_log = Logger()

IDENTITY = b"recodex-monitor"
"""The name by which the broker addresses the monitor."""

DRAIN_PAUSE = 0.05
"""Seconds without a message after which ZeroMQ's own thread has handed over what had come."""

DRAIN_TIMEOUT = 1.0
"""Seconds after which a stop waits no longer for a broker that sends on and on."""

# As plain numbers, since operations on pyzmq's enumerations take a microsecond each.
_NOBLOCK, _EVENTS, _POLLIN = int(zmq.NOBLOCK), int(zmq.EVENTS), int(zmq.POLLIN)

EXIT = [b"0", b"exit"]
"""The message that ends a monitor whose settings allow it."""


class Publish(Protocol):
    """What takes the messages, see ``Hub.publish``."""

    def __call__(self, messages: list[Message], *, more: bool = False) -> None:
        """Publish messages; ``more`` are about to follow."""


class BrokerConnection(ZmqConnection):  # type: ignore[misc]
    """The ROUTER socket: reads a bounded number of messages a turn and publishes them.

    Reading a flood to its end kept a WebSocket handshake waiting for up to 2.3 s; with 200
    messages a turn it is a few milliseconds, at no cost.
    """

    socketType = zmq.ROUTER
    read_scheduled: IDelayedCall | None

    def __init__(
        self,
        factory: ZmqFactory,
        limits: Limits,
        publish: Publish,
        on_exit: Callable[[], None] | None,
    ) -> None:
        """Make the socket, not yet bound.

        Args:
            factory: holds the ZeroMQ context and the reactor.
            limits: of messages, and of what ZeroMQ takes in before it is read.
            publish: called with the messages of a turn.
            on_exit: called when the broker asks the monitor to exit; None where it may not.
        """
        # All before the base class, which reads from the socket at once.
        self.dropped = Dropped(_log, "broker message", factory.reactor.seconds)
        self._limits = limits
        self._publish = publish
        self._on_exit = on_exit
        self._more = False
        self.highWaterMark = limits.high_water_mark
        # The identity must be set before bind: a broker whose first connection came to a
        # monitor without one never delivers to it again.
        super().__init__(factory, identity=IDENTITY)
        self.socket.set(zmq.MAXMSGSIZE, limits.max_frame_size)

    def bind(self, address: Address) -> Address:
        """Bind to a numeric address; returns it with the port that the system picked for 0.

        Raises:
            zmq.ZMQError: the address cannot be bound.
        """
        self.socket.set(zmq.IPV6, int(":" in address.host))
        self.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, f"tcp://{address}")])
        bound = self.socket.get(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        self.endpoints[-1] = ZmqEndpoint(ZmqEndpointType.bind, bound)
        return Address(address.host, int(bound.rpartition(":")[2]))

    def drain(self) -> None:
        """Read what is there or arrives within DRAIN_PAUSE, and let no more come.

        Blocks for DRAIN_TIMEOUT at the most, however much a peer sends.
        """
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while self.socket.poll(DRAIN_PAUSE * 1000, zmq.POLLIN) and time.monotonic() < deadline:
            self.read_turn()
        # This ends the connections too, so that what is left is no more than ZeroMQ holds.
        for endpoint in self.endpoints:
            self.socket.unbind(endpoint.address)
        while self.read_turn():
            pass

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
        messages: list[Message] = []
        count = 0
        while count < self._limits.messages_a_turn:
            # Mostly there is one message. To ask costs half of what it does to be told by an
            # exception, but too much to do for each message of a flood.
            if count == 1 and not self.socket.get(_EVENTS) & _POLLIN:
                break
            try:
                frames = self._receive()
            except zmq.Again:
                break
            count += 1
            if (message := self._parsed(frames)) is not None:
                messages.append(message)
        more = count == self._limits.messages_a_turn
        if messages or self._more:
            self._publish_safely(messages, more)
        self._more = more
        return count

    def _receive(self) -> list[bytes]:
        """One message without the peer's identity.

        Frames that are not copied take half the time of ``recv_multipart``.
        """
        receive = self.socket.recv
        receive(_NOBLOCK)  # the identity, behind which there always is a frame
        frames = []
        more = True
        while more:
            frame = receive(_NOBLOCK, False)
            frames.append(frame.bytes)
            more = frame.more
        return frames

    def _publish_safely(self, messages: list[Message], more: bool) -> None:
        # An exception that left doRead would make the reactor read from this socket no more.
        try:
            self._publish(messages, more=more)
        except Exception:
            _log.failure("publishing {count} messages failed", count=len(messages))

    def _parsed(self, frames: list[bytes]) -> Message | None:
        if frames == EXIT and self._on_exit is not None:
            self._on_exit()
            return None
        try:
            message = parse(frames)
            if len(frames[0]) > self._limits.max_channel_id:
                raise MalformedMessage("a channel id that is too long", frames)
            return message
        except MalformedMessage as malformed:
            self.dropped.add(malformed.reason, malformed)
            return None


class BrokerService(Service):
    """Binds the broker's socket while it runs."""

    def __init__(
        self,
        address: Address,
        limits: Limits,
        publish: Publish,
        on_exit: Callable[[], None] | None = None,
    ) -> None:
        """Make a service that is not listening yet; for the arguments see BrokerConnection."""
        self._address = address
        self._limits = limits
        self._publish = publish
        self._on_exit = on_exit
        self._factory: ZmqFactory | None = None
        self._connection: BrokerConnection | None = None
        self.addresses: list[Address] = []

    def startService(self) -> None:
        """Bind the socket.

        Raises:
            OSError: the address cannot be bound, or its name is not known.
        """
        addresses = resolve(self._address)
        self._factory = ZmqFactory()
        self._connection = BrokerConnection(
            self._factory, self._limits, self._publish, self._on_exit
        )
        try:
            self.addresses = _bind_all(self._connection, addresses)
        except OSError:
            self._close()
            raise
        super().startService()

    def stopService(self) -> None:
        """Take in what ZeroMQ still holds for us, then close the socket."""
        super().stopService()
        if self._connection is not None:
            self._connection.drain()
        self._close()

    def _close(self) -> None:
        # Without the connection the context's end would wait for ever for its socket.
        if self._factory is not None:
            self._factory.shutdown()
        self._factory = self._connection = None


def _bind_all(connection: BrokerConnection, addresses: list[Address]) -> list[Address]:
    """Bind to all addresses, all at the same port where the system picks it."""
    bound: list[Address] = []
    for address in addresses:
        port = address.port or (bound[0].port if bound else 0)
        try:
            bound.append(connection.bind(Address(address.host, port)))
        except zmq.ZMQError as error:
            text = f"cannot listen for the broker on {address}: {os.strerror(error.errno or 0)}"
            raise OSError(error.errno, text) from None
    return bound
