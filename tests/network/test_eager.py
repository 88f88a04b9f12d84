"""Connections that write at once: what they rely on in Twisted."""

import socket
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.network.eager import EagerServer

MORE = b"x" * 10_000_000
"""More than a socket takes."""


class Producer:
    """Notes how often it was paused and resumed."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Called by the transport."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Called by the transport."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Called by the transport."""


class EagerTests(SynchronousTestCase):
    """A connection over a pair of sockets, whose reactor does nothing by itself."""

    def setUp(self) -> None:
        """Connect."""
        ours, self.peer = socket.socketpair()
        self.addCleanup(self.peer.close)
        self.addCleanup(ours.close)
        self.peer.setblocking(False)
        self.reactor: Any = MemoryReactor()
        client: Any = ("127.0.0.1", 1)
        port: Any = None
        self.server = EagerServer(ours, Protocol(), client, port, 1, self.reactor)
        ours.setblocking(False)
        self.producer = Producer()

    def waits(self) -> bool:
        """Whether the reactor was asked to tell when the socket takes more."""
        return self.server in self.reactor.writers

    def took(self) -> int:
        """Let the peer take all that is there; returns how much that was."""
        taken = 0
        while True:
            try:
                taken += len(self.peer.recv(1_000_000))
            except BlockingIOError:
                return taken

    def test_at_once(self) -> None:
        """What the socket takes is there without the reactor, and nobody is paused."""
        self.server.registerProducer(self.producer, True)
        self.server.write(b"head")
        self.server.writeSequence([b"er", b"ror"])
        self.assertEqual(self.server.send(b"!"), 1)
        self.assertEqual(self.peer.recv(100), b"header" + b"ror!")
        self.assertFalse(self.waits())
        self.assertEqual((self.producer.told, self.server.unsent()), ([], 0))

    def test_rest_waits(self) -> None:
        """What it does not take waits for the reactor, in order, and the producer with it."""
        self.server.registerProducer(self.producer, True)
        self.server.write(MORE)
        self.server.write(b"end")
        self.assertTrue(self.waits())
        self.assertEqual(set(self.producer.told), {"pause"})
        taken = 0
        while taken < len(MORE) + 3:
            taken += self.took()
            self.server.doWrite()
        self.assertEqual(taken, len(MORE) + 3)
        self.assertEqual(self.producer.told[-1], "resume")
        self.assertEqual(self.producer.told.count("resume"), 1)
        self.assertEqual(self.server.unsent(), 0)

    def test_producer_behind_what_waits(self) -> None:
        """A producer that comes when something waits is paused until that is sent."""
        self.server.write(MORE)
        self.server.registerProducer(self.producer, True)
        self.assertEqual(self.producer.told, ["pause"])

    def test_taken_in_full(self) -> None:
        """A socket that is full takes nothing more, and says so by an OSError."""
        self.server.write(MORE)
        self.assertRaises(BlockingIOError, self.server.send, b"more")
        self.assertGreater(self.server.unsent(), 1_000_000)
