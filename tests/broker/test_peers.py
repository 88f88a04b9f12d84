"""The count of the broker's connections."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker.peers import NO_CURVE, NO_ZEROMQ, Peers


class PeersTests(SynchronousTestCase):
    """Connections that come and go."""

    def setUp(self) -> None:
        """Begin without connections."""
        self.clock = Clock()
        self.peers = Peers(self.clock.seconds)

    def connect(self, descriptor: int) -> None:
        """A broker connects."""
        self.peers.accept(descriptor)
        self.peers.handshake_succeeded()

    def refuse(self, descriptor: int, cause: str | None = NO_ZEROMQ) -> None:
        """Something connects whose handshake fails."""
        self.peers.accept(descriptor)
        self.peers.handshake_failed(cause)
        self.peers.disconnect(descriptor)

    def test_life(self) -> None:
        """A broker counts from its handshake on until its connection ends."""
        self.assertIsNone(self.peers.since)
        self.clock.advance(2)
        self.connect(7)
        self.clock.advance(3)
        self.connect(8)
        self.assertEqual((self.peers.since, self.peers.count, self.peers.gone_at), (2, 2, None))
        self.peers.disconnect(7)
        self.assertEqual((self.peers.since, self.peers.count, self.peers.gone_at), (2, 2, 5))
        self.peers.disconnect(8)
        self.assertEqual((self.peers.since, self.peers.connected), (None, 0))

    def test_discounted(self) -> None:
        """What turns out to be the doctor is no broker, whether others are connected or not."""
        self.connect(7)
        self.peers.discount()
        self.assertEqual((self.peers.since, self.peers.count, self.peers.connected), (None, 0, 0))
        self.peers.discount()
        self.peers.disconnect(7)
        self.assertEqual((self.peers.count, self.peers.gone_at), (0, None))
        self.clock.advance(2)
        self.connect(8)
        self.connect(9)
        self.peers.discount()
        self.peers.disconnect(9)
        self.assertEqual((self.peers.since, self.peers.count, self.peers.connected), (2, 1, 1))

    def test_no_handshake(self) -> None:
        """A connection that ends before its handshake was no broker's."""
        self.connect(7)
        self.refuse(8)
        self.assertEqual((self.peers.failures, self.peers.gone_at), (1, None))
        self.assertEqual(self.peers.connected, 1)

    def test_not_reported(self) -> None:
        """So was one of which ZeroMQ only reports the end, as with CURVE it does of HTTP."""
        self.connect(7)
        self.peers.accept(8)
        self.peers.disconnect(8)
        self.assertEqual((self.peers.connected, self.peers.gone_at), (1, None))

    def test_reported_twice(self) -> None:
        """A handshake that is reported twice as failed is still one connection."""
        self.connect(7)
        self.peers.accept(8)
        self.peers.handshake_failed(NO_ZEROMQ)
        self.peers.handshake_failed(NO_ZEROMQ)
        self.peers.disconnect(8)
        self.assertEqual(self.peers.connected, 1)
        self.peers.disconnect(7)
        self.assertEqual(self.peers.connected, 0)

    def test_slow_handshake(self) -> None:
        """A silent connection beside it is not taken for the broker's, whichever came first."""
        for descriptors in ((7, 8), (8, 7)):
            self.setUp()
            for descriptor in descriptors:
                self.peers.accept(descriptor)
            self.peers.handshake_succeeded()
            self.peers.handshake_failed(NO_ZEROMQ)
            self.peers.disconnect(8)
            self.assertEqual((self.peers.connected, self.peers.gone_at), (1, None))
            self.peers.disconnect(7)
            self.assertEqual(self.peers.connected, 0)

    def test_causes(self) -> None:
        """Failed handshakes are counted by cause; refusals with that of the refusal."""
        self.refuse(7, NO_CURVE)
        self.peers.refuse("not in zeromq.allowed_networks", "192.0.2.7")
        self.refuse(7, None)
        self.refuse(7, NO_CURVE)
        expected = {NO_CURVE: 2, "not in zeromq.allowed_networks": 1}
        self.assertEqual((self.peers.causes, self.peers.refused), (expected, "192.0.2.7"))

    def test_failures_are_logged_ever_less_often(self) -> None:
        """Of a hundred failed handshakes the log has seven lines, at powers of two."""
        with capturedLogs() as events:
            for _ in range(100):
                self.refuse(7)
        self.assertEqual([event["count"] for event in events], [1, 2, 4, 8, 16, 32, 64])

    @given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["good", "bad", "lost"]))))
    def test_any_order(self, steps: list[tuple[int, str]]) -> None:
        """However connections come and go one by one, the count is that of brokers."""
        peers = Peers(lambda: 0)
        brokers: set[int] = set()
        for descriptor, kind in steps:
            if descriptor in brokers:
                brokers.discard(descriptor)
                peers.disconnect(descriptor)
                continue
            peers.accept(descriptor)
            if kind == "good":
                peers.handshake_succeeded()
                brokers.add(descriptor)
                continue
            if kind == "bad":
                peers.handshake_failed(NO_ZEROMQ)
            peers.disconnect(descriptor)
        self.assertEqual(peers.connected, len(brokers))
