"""The ZeroMQ sockets, with a peer in the same ZeroMQ context and a reactor that the test drives."""

import struct
from collections.abc import Callable
from pathlib import Path

import zmq
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from txzmq import ZmqEndpoint, ZmqEndpointType, ZmqFactory

from recodex_monitor.broker import zap
from recodex_monitor.broker.peers import Peers
from recodex_monitor.broker.sockets import BrokerConnection, PeerEvents, Sockets, ZapHandler
from recodex_monitor.broker.zap import Guard
from recodex_monitor.channels.message import Message
from recodex_monitor.settings.endpoints import SocketFile
from recodex_monitor.settings.schema import LiveSettings, Zeromq
from tests.support.settings import live

ENDPOINT = "inproc://broker"


def ignore(messages: list[Message], *, more: bool = False) -> None:
    """Publish nothing."""


class SocketTestCase(SynchronousTestCase):
    """A factory with a reactor of its own, and peers that connect within the process."""

    def setUp(self) -> None:
        """Make it."""
        self.reactor = MemoryReactorClock()
        self.factory = ZmqFactory()
        self.factory.reactor = self.reactor
        self.addCleanup(self.factory.shutdown)

    def peer(self, kind: int = zmq.DEALER, endpoint: str = ENDPOINT) -> "zmq.Socket[bytes]":
        """A peer that is connected."""
        made: zmq.Socket[bytes] = self.factory.context.socket(kind)
        self.addCleanup(made.close)
        made.set(zmq.LINGER, 0)
        made.connect(endpoint)
        return made


class ConnectionTestCase(SocketTestCase):
    """The broker's connection, and a broker."""

    def connect(
        self, settings: LiveSettings | None = None, on_exit: Callable[[], None] | None = None
    ) -> None:
        """Make both."""
        self.batches: list[tuple[list[bytes], bool]] = []
        self.connection = BrokerConnection(
            self.factory, settings or LiveSettings(), self.publish, on_exit, None
        )
        self.connection.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, ENDPOINT)])
        self.broker = self.peer()

    def publish(self, messages: list[Message], *, more: bool = False) -> None:
        """Note a batch as its texts, and whether more are to follow."""
        self.batches.append(([message.command.encode() for message in messages], more))

    def send(self, *commands: bytes) -> None:
        """Let the broker send a message of a job for each command."""
        for command in commands:
            self.broker.send_multipart([b"job", command])

    def run_turns(self) -> None:
        """Let the reactor report that there is something, and do all that follows from it."""
        self.connection.doRead()
        while self.reactor.getDelayedCalls():
            self.reactor.advance(0)


class ReadTests(ConnectionTestCase):
    """What is read is published."""

    def test_one_batch_a_turn(self) -> None:
        """What came together is published together, in order; then there is nothing."""
        self.connect()
        self.send(b"A", b"B", b"C")
        self.run_turns()
        self.run_turns()
        self.assertEqual(self.batches, [([b"A", b"B", b"C"], False)])

    def test_bounded_turns(self) -> None:
        """A turn reads as many as the settings say and announces more; the last takes that back."""
        self.connect(live(messages_a_turn=2))
        self.send(b"A", b"B", b"C", b"D")
        self.connection.doRead()
        self.assertEqual(self.batches, [([b"A", b"B"], True)])
        self.run_turns()
        expected = [([b"A", b"B"], True), ([b"C", b"D"], True), ([], False)]
        self.assertEqual(self.batches, expected)

    def test_malformed(self) -> None:
        """A message that is malformed is counted by its reason, and those around it are kept."""
        self.connect(live(max_channel_id=3))
        self.send(b"A")
        for frames in ([b""], [b"job"], [b"", b"B"], [b"jobs", b"B"], [b"job", b"\xff"]):
            self.broker.send_multipart(frames)
        self.send(b"C")
        with capturedLogs() as events:
            self.run_turns()
        self.assertEqual(self.batches, [([b"A", b"C"], False)])
        self.assertEqual(sum(self.connection.dropped.counts.values()), 5)
        self.assertEqual(len(events), len(self.connection.dropped.counts))

    def test_publishing_fails(self) -> None:
        """An exception of what publishes is logged, and the next messages are read."""

        def fail(messages: list[Message], *, more: bool = False) -> None:
            raise RuntimeError("wrong")

        self.connect()
        self.connection.publish = fail
        self.send(b"A")
        self.run_turns()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.connection.publish = self.publish
        self.send(b"B")
        self.run_turns()
        self.assertEqual(self.batches, [([b"B"], False)])

    def test_closed(self) -> None:
        """A read that was scheduled before the socket was closed does nothing."""
        self.connect(live(messages_a_turn=1))
        self.send(b"A", b"B")
        self.connection.doRead()
        self.connection.shutdown()
        self.connection.doRead()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class ExitTests(ConnectionTestCase):
    """Requests to exit."""

    def setUp(self) -> None:
        """Count them."""
        super().setUp()
        self.exits = 0

    def exit(self) -> None:
        """Count one."""
        self.exits += 1

    def request(self) -> None:
        """Let the broker send one."""
        self.broker.send_multipart([b"0", b"exit"])

    def test_allowed(self) -> None:
        """Requests among others of a turn are one call, and no message."""
        self.connect(on_exit=self.exit)
        self.request()
        self.send(b"A")
        self.request()
        self.run_turns()
        self.assertEqual((self.exits, self.batches), (1, [([b"A"], False)]))

    def test_alone(self) -> None:
        """A request alone publishes nothing."""
        self.connect(on_exit=self.exit)
        self.request()
        self.run_turns()
        self.assertEqual((self.exits, self.batches), (1, []))

    def test_not_allowed(self) -> None:
        """Where the settings do not allow it, it is a message as any other."""
        self.connect()
        self.request()
        self.run_turns()
        self.assertEqual((self.exits, self.batches), (0, [([b"exit"], False)]))


class BindTests(ConnectionTestCase):
    """Socket files."""

    def test_file(self) -> None:
        """The file is for the owner and the group; it is told among the addresses."""
        self.connect()
        file = Path(self.mktemp()).absolute()
        self.connection.bind_file(SocketFile(str(file), "ipc"))
        self.assertEqual(file.stat().st_mode & 0o777, 0o660)
        self.assertEqual(self.connection.addresses, [ENDPOINT, f"ipc://{file}"])

    def test_no_socket(self) -> None:
        """A file that is no socket stays as it is."""
        self.connect()
        file = Path(self.mktemp()).absolute()
        file.write_text("text")
        self.assertRaises(OSError, self.connection.bind_file, SocketFile(str(file), "ipc"))
        self.assertEqual(file.read_text(), "text")


class EventTests(ConnectionTestCase):
    """ZeroMQ's events."""

    def test_events(self) -> None:
        """They are applied to the count of peers."""
        self.connect()
        peers = Peers(self.reactor.seconds)
        events = PeerEvents(self.factory, self.connection, peers, wants_curve=False)
        self.addCleanup(events.shutdown)
        for event in (zmq.EVENT_ACCEPTED, zmq.EVENT_HANDSHAKE_SUCCEEDED):
            events.messageReceived([struct.pack("=HI", event, 7), b""])
        self.assertEqual((peers.connected, peers.count), (1, 1))


class ZapTests(SocketTestCase):
    """Requests about who may connect."""

    def ask(self, guard: Guard, *request: bytes) -> list[bytes]:
        """The reply to a request."""
        self.peers = Peers(self.reactor.seconds)
        handler = ZapHandler(self.factory, guard, self.peers)
        asking = self.peer(zmq.REQ, zap.ENDPOINT)
        asking.send_multipart(request)
        handler.doRead()
        return asking.recv_multipart(zmq.NOBLOCK)

    def test_answer(self) -> None:
        """The guard's answer is sent."""
        guard = Guard(Zeromq(allowed_networks=()), self.reactor.seconds)
        request = (b"1.0", b"7", zap.NETWORK, b"192.0.2.7", b"", b"NULL")
        self.assertEqual(self.ask(guard, *request)[:3], [b"1.0", b"7", b"400"])
        self.assertEqual(self.peers.refused, "192.0.2.7")

    def test_error(self) -> None:
        """A request that cannot be answered is refused with 500, and logged."""
        guard = Guard(Zeromq(allowed_networks=()), self.reactor.seconds)
        self.assertEqual(self.ask(guard, b"1.0", b"7")[:3], [b"1.0", b"7", b"500"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class SocketsTests(SynchronousTestCase):
    """All sockets together."""

    def test_closed(self) -> None:
        """Closing closes them all; the ZeroMQ context ends, which waits for every socket."""
        reactor = MemoryReactorClock()
        self.patch(ZmqFactory, "reactor", reactor)
        guard = Guard(Zeromq(allowed_networks=()), reactor.seconds)
        sockets = Sockets(LiveSettings(), ignore, None, guard, Peers(reactor.seconds))
        context = sockets._factory.context
        self.assertEqual(len(reactor.getReaders()), 3)
        sockets.read_events()
        sockets.close()
        self.assertEqual((reactor.getReaders(), context.closed), ([], True))
