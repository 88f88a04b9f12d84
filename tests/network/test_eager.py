"""Connections that send at once, and what they rely on in Twisted."""

import socket
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel

from recodex_monitor.network.eager import EagerServer, LocalServer

MORE = b"x" * 10_000_000
"""More than a socket takes at once."""


class Producer:
    """Records when it is paused and resumed."""

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
    """A connection over a pair of sockets, with a reactor in memory."""

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

    def is_waiting(self) -> bool:
        """Whether the reactor waits until the socket takes more."""
        return self.server in self.reactor.writers

    def read_all(self) -> int:
        """Let the peer read everything; returns the number of bytes."""
        taken = 0
        while True:
            try:
                taken += len(self.peer.recv(1_000_000))
            except BlockingIOError:
                return taken

    def test_at_once(self) -> None:
        """Data that the socket takes is sent without the reactor, and the producer goes on."""
        self.server.registerProducer(self.producer, True)
        self.server.write(b"head")
        self.server.writeSequence([b"er", b"ror"])
        self.server.send(b"!")
        self.assertEqual(self.peer.recv(100), b"header" + b"ror!")
        self.assertFalse(self.is_waiting())
        self.assertEqual((self.producer.told, self.server.unsent()), ([], 0))

    def test_last_words(self) -> None:
        """A close discards what the peer has sent, so that no reset replaces the last data."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        peer = socket.create_connection(listening.getsockname())
        self.addCleanup(peer.close)
        ours, _ = listening.accept()
        ours.setblocking(False)
        client, port = ("127.0.0.1", 1), cast("Any", None)
        server = EagerServer(ours, Protocol(), client, port, 1, self.reactor)
        peer.sendall(b"x" * 100_000)
        server.write(b"no")
        server.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
        self.assertEqual(peer.recv(100), b"no")
        self.assertEqual(peer.recv(100), b"")

    def test_rest_waits(self) -> None:
        """Data that the socket does not take is sent later and in order; the producer is paused."""
        self.server.registerProducer(self.producer, True)
        self.server.write(MORE)
        self.server.write(b"end")
        self.assertTrue(self.is_waiting())
        self.assertEqual(set(self.producer.told), {"pause"})
        taken = 0
        while taken < len(MORE) + 3:
            taken += self.read_all()
            self.server.doWrite()
        self.assertEqual(taken, len(MORE) + 3)
        self.assertEqual(self.producer.told[-1], "resume")
        self.assertEqual(self.producer.told.count("resume"), 1)
        self.assertEqual(self.server.unsent(), 0)

    def test_producer_behind_what_waits(self) -> None:
        """A producer that is registered while data is waiting is paused until that is sent."""
        self.server.write(MORE)
        self.server.registerProducer(self.producer, True)
        self.assertEqual(self.producer.told, ["pause"])

    def test_unchecked_send(self) -> None:
        """What ``send`` cannot pass on waits too, whether the socket takes a part or nothing."""
        self.server.registerProducer(self.producer, True)
        self.server.send(MORE)
        self.assertTrue(self.is_waiting())
        self.assertEqual(self.producer.told, ["pause"])
        self.assertGreater(self.server.unsent(), 1_000_000)
        self.server.send(b"end")
        taken = 0
        while taken < len(MORE) + 3:
            taken += self.read_all()
            self.server.doWrite()
        self.assertEqual(self.server.unsent(), 0)

    def test_peer_has_gone(self) -> None:
        """Writing to a peer that has gone raises nothing: the reactor will notice."""
        self.peer.close()
        self.server.send(b"data")
        self.server.write(b"more")
        self.assertTrue(self.is_waiting())


class LocalTests(SynchronousTestCase):
    """A connection of a Unix socket."""

    def test_http(self) -> None:
        """What Twisted's HTTP sets on a connection is no error, which would be logged."""
        ours, peer = socket.socketpair()
        self.addCleanup(peer.close)
        self.addCleanup(ours.close)
        reactor: Any = MemoryReactor()
        server = LocalServer(ours, Protocol(), "", None, 1, reactor)
        channel = HTTPChannel()
        channel.timeOut = None
        channel.makeConnection(server)
        self.assertEqual(self.flushLoggedErrors(), [])
