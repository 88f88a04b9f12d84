"""Brokers that vanish; ``tests.faults.unplugged`` cuts a cable."""

import zmq
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker.liveness import notice_vanished


class VanishedTests(SynchronousTestCase):
    """The socket's options."""

    def test_options(self) -> None:
        """Pings and TCP's own timeout together take the given time, and no answer is needed."""
        with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
            notice_vanished(socket, 60)
            found = [socket.get(one) for one in (zmq.HEARTBEAT_IVL, zmq.TCP_MAXRT)]
            self.assertEqual(found, [15_000, 45_000])
            self.assertEqual(socket.get(zmq.HEARTBEAT_TIMEOUT), 0)
            keepalive = (zmq.TCP_KEEPALIVE, zmq.TCP_KEEPALIVE_IDLE)
            self.assertEqual([socket.get(one) for one in keepalive], [1, 15])
