"""The broker service with real ZeroMQ connections, in this process and its reactor."""

import os
import socket
import tempfile
import time
from ipaddress import ip_network
from typing import Any

import zmq
import zmq.auth
from twisted.internet import reactor, task
from twisted.trial.unittest import TestCase

from recodex_monitor.broker.peers import CURVE, HUNG_UP, NO_CURVE, NO_ZEROMQ, SERVER_KEY
from recodex_monitor.broker.service import BrokerService
from recodex_monitor.broker.zap import Guard
from recodex_monitor.channels.message import Message
from recodex_monitor.settings.endpoints import Address, Endpoint, SocketFile
from recodex_monitor.settings.schema import Limits, LiveSettings, Zeromq

MESSAGES_A_TURN = Limits().messages_a_turn
ANY_PORT = Address("127.0.0.1", 0)


class BrokerServiceTestCase(TestCase):
    """A service and its peers."""

    def setUp(self) -> None:
        """A service on a port that the system picks, and a peer's context."""
        self.batches: list[list[Message]] = []
        self.service = BrokerService(ANY_PORT, LiveSettings(), self.publish)
        self.context = zmq.Context()
        self.addCleanup(self.context.term)

    def publish(self, messages: list[Message], *, more: bool = False) -> None:
        """Note a turn's messages."""
        self.batches.append(messages)
        self.more = more

    def peer(
        self, kind: int = zmq.DEALER, keys: tuple[str, str] | None = None
    ) -> "zmq.Socket[bytes]":
        """Connect a peer; ``keys`` are the files of the service's public and its own secret key."""
        made: zmq.Socket[bytes] = self.context.socket(kind)
        made.set(zmq.LINGER, 0)
        if keys is not None:
            made.curve_serverkey, _ = zmq.auth.load_certificate(keys[0])
            made.curve_publickey, made.curve_secretkey = zmq.auth.load_certificate(keys[1])
        (address,) = self.service.addresses
        by_file = isinstance(address, SocketFile)
        made.connect(str(address).replace("ipc:", "ipc://") if by_file else f"tcp://{address}")
        self.addCleanup(made.close)
        return made

    async def received(self, count: int) -> list[Message]:
        """Wait until so many messages were published."""
        for _ in range(1000):
            messages = [message for batch in self.batches for message in batch]
            if len(messages) >= count:
                return messages
            await task.deferLater(reactor, 0.01)
        raise AssertionError(f"{len(messages)} of {count} messages were published")


class BrokerServiceTests(BrokerServiceTestCase):
    """The service from its start to its stop."""

    async def test_addressed_by_name(self) -> None:
        """A ROUTER peer that addresses ``recodex-monitor`` reaches it, as the broker does."""
        self.service.startService()
        peer = self.peer(zmq.ROUTER)
        peer.set(zmq.ROUTER_MANDATORY, 1)
        while not self.sent(peer):
            await task.deferLater(reactor, 0.01)
        self.assertEqual((await self.received(1))[0][:2], ("job", "STARTED"))
        self.service.stopService()

    @staticmethod
    def sent(peer: "zmq.Socket[bytes]") -> bool:
        """Send one message by name; False while the name is not known yet."""
        try:
            peer.send_multipart([b"recodex-monitor", b"job", b"STARTED"], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    async def test_bounded_turns(self) -> None:
        """A flood is published in order, at most a turn's number of messages at a time."""
        self.service.startService()
        peer = self.peer()
        for number in range(5 * MESSAGES_A_TURN):
            peer.send_multipart([b"job", b"TASK", str(number).encode()])
        messages = await self.received(5 * MESSAGES_A_TURN)
        self.service.stopService()
        self.assertEqual(
            [message.text for message in messages],
            [
                b'{"command": "TASK", "task_id": "%d"}' % number
                for number in range(5 * MESSAGES_A_TURN)
            ],
        )
        self.assertLessEqual(max(map(len, self.batches)), MESSAGES_A_TURN)
        self.assertFalse(self.more, "the last turn said that more would follow")

    async def test_requests_to_exit(self) -> None:
        """Where they are allowed, none is published, and what else is sent is."""
        asked: list[bool] = []
        self.service = BrokerService(
            ANY_PORT, LiveSettings(), self.publish, on_exit=lambda: asked.append(True)
        )
        self.service.startService()
        peer = self.peer()
        for frames in ([b"0", b"exit"], [b"0", b"exit"], [b"job", b"STARTED"]):
            peer.send_multipart(frames)
        messages = await self.received(1)
        self.service.stopService()
        self.assertEqual([message[:2] for message in messages], [("job", "STARTED")])
        self.assertTrue(asked)

    async def test_publishing_that_fails(self) -> None:
        """If publishing a turn's messages fails, the next messages are read nevertheless."""
        failing = True

        def publish(messages: list[Message], *, more: bool = False) -> None:
            if failing:
                raise RuntimeError("a bug")
            self.batches.append(messages)

        self.service = BrokerService(ANY_PORT, LiveSettings(), publish)
        self.service.startService()
        peer = self.peer()
        peer.send_multipart([b"job", b"one"])
        while not self.flushLoggedErrors(RuntimeError):
            await task.deferLater(reactor, 0.01)
        failing = False
        peer.send_multipart([b"job", b"two"])
        self.assertEqual((await self.received(1))[0].command, "two")
        self.service.stopService()

    def test_port_taken(self) -> None:
        """A port in use is an error that names the address, and leaves no socket behind."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = Address("127.0.0.1", taken.getsockname()[1])
            service = BrokerService(address, LiveSettings(), self.publish)
            with self.assertRaises(OSError) as raised:
                service.startService()
            self.assertIn(str(address), str(raised.exception.strerror))
        service.startService()
        service.stopService()

    async def test_stop_publishes_the_rest(self) -> None:
        """What ZeroMQ has received when the service stops is published."""
        self.service.startService()
        peer = self.peer()
        peer.send_multipart([b"job", b"first"])
        await self.received(1)
        for _ in range(500):
            peer.send_multipart([b"job", b"more"])
        self.service.stopService()
        self.assertEqual(len(await self.received(501)), 501)


class DisconnectTests(BrokerServiceTestCase):
    """A stop soon after peers have disconnected."""

    async def test_stop_after_disconnects(self) -> None:
        """A stop changes no limit while ZeroMQ has disconnects pending: its thread would crash."""
        self.service.startService()
        peers = [self.peer() for _ in range(5)]
        for peer in peers:
            peer.send_multipart([b"job", b"STARTED"])
        await self.received(5)
        for peer in peers[1:]:
            peer.close()
        # ZeroMQ's thread has to see it, but not the reactor; nothing says when it has.
        time.sleep(0.1)
        before = len(os.listdir("/proc/self/fd"))
        self.service.stopService()
        self.assertLess(len(os.listdir("/proc/self/fd")), before)


class GuardedTests(BrokerServiceTestCase):
    """A service that admits some brokers only."""

    def start(self, address: Endpoint = ANY_PORT, **settings: Any) -> Guard:
        """Start the service with these settings of the section ``zeromq``."""
        guard = Guard(Zeromq(**settings), lambda: 0.0)
        self.service = BrokerService(address, LiveSettings(), self.publish, guard=guard)
        self.service.startService()
        self.addCleanup(self.service.stopService)
        return guard

    async def refused(self, guard: Guard) -> None:
        """Wait until a peer was refused."""
        while not guard.refused.counts or not self.service.peers.failures:
            await task.deferLater(reactor, 0.01)

    async def test_networks(self) -> None:
        """A peer of another network is refused and counted; its messages are not read."""
        guard = self.start(allowed_networks=(ip_network("192.0.2.0/24"),))
        self.peer().send_multipart([b"job", b"STARTED"])
        await self.refused(guard)
        self.assertEqual((self.batches, self.service.peers.connected), ([], 0))

    async def test_own_network(self) -> None:
        """Messages of a peer of an allowed network are published."""
        self.start(allowed_networks=(ip_network("127.0.0.0/8"),))
        self.peer().send_multipart([b"job", b"STARTED"])
        await self.received(1)

    async def test_socket_file(self) -> None:
        """So are those of a peer that connects by a socket file, whatever the networks."""
        folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, folder)
        self.start(SocketFile(f"{folder}/broker", "ipc"), allowed_networks=())
        self.peer().send_multipart([b"job", b"STARTED"])
        await self.received(1)

    async def test_keys(self) -> None:
        """With keys, a broker with a known key is admitted; one with another or none is not."""
        folder = self.mktemp()
        os.makedirs(f"{folder}/brokers")
        public, secret = zmq.auth.create_certificates(folder, "monitor")
        _, known_secret = zmq.auth.create_certificates(f"{folder}/brokers", "broker")
        _, other_secret = zmq.auth.create_certificates(folder, "other")
        guard = self.start(curve_key=secret, curve_clients=f"{folder}/brokers")
        self.peer().send_multipart([b"job", b"without a key"])
        self.peer(keys=(public, other_secret)).send_multipart([b"job", b"another key"])
        await self.refused(guard)
        self.peer(keys=(public, known_secret)).send_multipart([b"job", b"STARTED"])
        self.assertEqual([one.command for one in await self.received(1)], ["STARTED"])

    async def test_causes(self) -> None:
        """Why a broker could not connect is known, as far as ZeroMQ tells."""
        folder = self.mktemp()
        os.makedirs(folder)
        public, secret = zmq.auth.create_certificates(folder, "monitor")
        other, other_secret = zmq.auth.create_certificates(folder, "other")
        nowhere = (ip_network("192.0.2.0/24"),)
        cases: tuple[tuple[dict[str, Any], tuple[str, str] | None, set[str]], ...] = (
            ({"allowed_networks": nowhere}, None, {"not in zeromq.allowed_networks"}),
            # Either side may be the first to see that the mechanisms differ.
            ({"curve_key": secret}, None, {NO_CURVE, HUNG_UP}),
            ({"curve_key": secret}, (other, other_secret), {SERVER_KEY}),
            ({}, (public, other_secret), {CURVE, NO_ZEROMQ}),
        )
        for settings, keys, causes in cases:
            self.start(**settings)
            peer = self.peer(keys=keys)
            while not self.service.peers.causes:
                await task.deferLater(reactor, 0.01)
            self.assertLessEqual(set(self.service.peers.causes), causes)
            peer.close()
            self.service.stopService()
