"""The broker's side with real ZeroMQ sockets, in this process and its reactor."""

import socket

import zmq
from twisted.internet import defer, reactor, task
from twisted.trial.unittest import TestCase

from recodex_monitor.broker import BrokerService
from recodex_monitor.config import Limits
from recodex_monitor.messages import Message
from recodex_monitor.values import Address

MESSAGES_A_TURN = Limits().messages_a_turn


class BrokerServiceTests(TestCase):
    """The service from its start to its stop."""

    def setUp(self) -> None:
        """A service on a port that the system picks, and a peer's context."""
        self.batches: list[list[Message]] = []
        self.service = BrokerService(Address("127.0.0.1", 0), Limits(), self.publish)
        self.context = zmq.Context()
        self.addCleanup(self.context.term)

    def publish(self, messages: list[Message], *, more: bool = False) -> None:
        """Take a turn's messages."""
        self.batches.append(messages)
        self.more = more

    def peer(self, kind: int = zmq.DEALER) -> "zmq.Socket[bytes]":
        """A peer that is connected to the service."""
        made: zmq.Socket[bytes] = self.context.socket(kind)
        made.set(zmq.LINGER, 0)
        made.connect(f"tcp://{self.service.addresses[0]}")
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

    def test_addressed_by_name(self) -> "defer.Deferred[None]":
        """A ROUTER peer that addresses ``recodex-monitor`` reaches it, as the broker does."""

        async def check() -> None:
            self.service.startService()
            peer = self.peer(zmq.ROUTER)
            peer.set(zmq.ROUTER_MANDATORY, 1)
            while not self.sent(peer):
                await task.deferLater(reactor, 0.01)
            self.assertEqual((await self.received(1))[0][:2], ("job", "STARTED"))
            self.service.stopService()

        return defer.ensureDeferred(check())

    @staticmethod
    def sent(peer: "zmq.Socket[bytes]") -> bool:
        """Send one message by name; False while the name is not known yet."""
        try:
            peer.send_multipart([b"recodex-monitor", b"job", b"STARTED"], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def test_bounded_turns(self) -> "defer.Deferred[None]":
        """A flood is published in order, at most a turn's number of messages at a time."""

        async def check() -> None:
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

        return defer.ensureDeferred(check())

    def test_publishing_that_fails(self) -> "defer.Deferred[None]":
        """When publishing a turn's messages fails, the next ones are read all the same."""

        async def check() -> None:
            failing = True

            def publish(messages: list[Message], *, more: bool = False) -> None:
                if failing:
                    raise RuntimeError("a bug")
                self.batches.append(messages)

            self.service = BrokerService(Address("127.0.0.1", 0), Limits(), publish)
            self.service.startService()
            peer = self.peer()
            peer.send_multipart([b"job", b"one"])
            while not self.flushLoggedErrors(RuntimeError):
                await task.deferLater(reactor, 0.01)
            failing = False
            peer.send_multipart([b"job", b"two"])
            self.assertEqual((await self.received(1))[0].command, "two")
            self.service.stopService()

        return defer.ensureDeferred(check())

    def test_port_taken(self) -> None:
        """A port that is taken is an error that names it, and leaves no socket behind."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = Address("127.0.0.1", taken.getsockname()[1])
            service = BrokerService(address, Limits(), self.publish)
            with self.assertRaises(OSError) as raised:
                service.startService()
            self.assertIn(str(address), str(raised.exception.strerror))
        service.startService()
        service.stopService()

    def test_stop_takes_in_what_came(self) -> "defer.Deferred[None]":
        """What ZeroMQ has received when the service stops is published."""

        async def check() -> None:
            self.service.startService()
            peer = self.peer()
            peer.send_multipart([b"job", b"first"])
            await self.received(1)
            for _ in range(500):
                peer.send_multipart([b"job", b"more"])
            self.service.stopService()
            self.assertEqual(len(await self.received(501)), 501)

        return defer.ensureDeferred(check())
