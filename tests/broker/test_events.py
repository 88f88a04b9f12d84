"""What ZeroMQ's events say of peers."""

import errno
import struct

import zmq
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker.events import apply
from recodex_monitor.broker.peers import CURVE, HUNG_UP, NO_CURVE, NO_ZEROMQ, SERVER_KEY, Peers


class EventTests(SynchronousTestCase):
    """Events as ZeroMQ sends them."""

    def setUp(self) -> None:
        """Begin without connections."""
        self.peers = Peers(lambda: 0)

    def report(self, event: int, value: int = 7, *, wants_curve: bool = False) -> None:
        """Let ZeroMQ report an event."""
        apply(struct.pack("=HI", event, value), self.peers, wants_curve=wants_curve)

    def test_events(self) -> None:
        """Each event is what it says to the count of peers; of others nothing is known."""
        for event in (zmq.EVENT_ACCEPTED, zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_LISTENING):
            self.report(event)
        self.assertEqual((self.peers.connected, self.peers.count), (1, 1))
        self.report(zmq.EVENT_ACCEPTED, 8)
        self.report(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)
        self.report(zmq.EVENT_DISCONNECTED, 8)
        self.assertEqual((self.peers.connected, self.peers.failures), (1, 1))
        self.report(zmq.EVENT_DISCONNECTED)
        self.assertEqual((self.peers.connected, self.peers.count), (0, 1))

    def test_causes(self) -> None:
        """Why a handshake failed is told as far as ZeroMQ tells."""
        protocol, other = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        mismatch = zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
        for event, value, wants_curve, cause in (
            (protocol, mismatch, True, NO_CURVE),
            (protocol, mismatch, False, CURVE),
            (protocol, zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC, True, SERVER_KEY),
            (protocol, zmq.PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND, True, NO_ZEROMQ),
            (other, errno.EPIPE, True, HUNG_UP),
            (other, errno.EPIPE, False, NO_ZEROMQ),
            (other, errno.ECONNRESET, True, NO_ZEROMQ),
        ):
            self.setUp()
            self.report(event, value, wants_curve=wants_curve)
            self.assertEqual(self.peers.causes, {cause: 1})
