"""The broker's connections."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker.peers import Peers


class PeerTests(SynchronousTestCase):
    """What is known of them."""

    def setUp(self) -> None:
        """Nobody is there."""
        self.clock = Clock()
        self.peers = Peers(self.clock.seconds)

    def come(self) -> None:
        """A broker connects."""
        self.peers.accepted()
        self.peers.came()

    def test_life(self) -> None:
        """A broker is there from its handshake on until its connection ends."""
        self.assertIsNone(self.peers.since)
        self.clock.advance(2)
        self.come()
        self.clock.advance(3)
        self.come()
        self.assertEqual((self.peers.since, self.peers.count, self.peers.gone_at), (2, 2, None))
        self.peers.went()
        self.assertEqual((self.peers.since, self.peers.count, self.peers.gone_at), (2, 2, 5))
        self.peers.went()
        self.assertEqual((self.peers.since, self.peers.connected), (None, 0))

    def test_no_handshake(self) -> None:
        """A connection that ends before its handshake was no broker's."""
        self.come()
        self.peers.accepted()
        self.peers.failed()
        self.peers.went()
        self.assertEqual((self.peers.failures, self.peers.gone_at), (1, None))
        self.assertEqual(self.peers.connected, 1)

    def test_told_twice(self) -> None:
        """A handshake of which it is told twice that it failed is one connection still."""
        self.come()
        self.peers.accepted()
        self.peers.failed()
        self.peers.failed()
        self.peers.went()
        self.assertEqual(self.peers.connected, 1)
        self.peers.went()
        self.assertEqual(self.peers.connected, 0)
