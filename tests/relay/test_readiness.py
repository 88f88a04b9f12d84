"""Readiness: what a balancer is told while the engine is away."""

from recodex_monitor.status.probes import Probes
from tests.relay.support import Follower, NodesTestCase, said, texts


class ReadinessTests(NodesTestCase):
    """One node."""

    def setUp(self) -> None:
        """Start it."""
        super().setUp()
        self.server.is_up = False
        self.one = self.node()

    def asked(self) -> tuple[int, bool]:
        """The answer's status, and whether it says that the node is degraded."""
        readiness = self.one.relay.readiness
        probes = Probes(readiness.unready, lambda: self.one.relay.owns, readiness.degraded)
        answer = probes._readyz(None)
        return answer.status, b"degraded" in answer.content

    def test_start(self) -> None:
        """It is not ready before it has reached the engine, however long that takes."""
        for _ in range(3):
            self.pass_time(10)
            self.assertEqual(self.asked(), (503, False))
        self.server.is_up = True
        self.pass_time(3)
        self.assertEqual(self.asked(), (200, False))

    def test_outage(self) -> None:
        """For 15 s it is degraded, then not ready; clients stay, and get what they lack then."""
        self.server.is_up = True
        self.pass_time(5)
        self.one.relay.publish(said(1))
        self.pass_time(1)
        follower = Follower(self.one.hub)
        self.server.is_up = False
        self.server.restart(*self.server.copy())
        self.one.relay.publish(said(2))
        for seconds, answer in ((1, (200, True)), (13, (200, True)), (2, (503, False))):
            self.pass_time(seconds)
            self.assertEqual(self.asked(), answer)
        self.pass_time(60)
        self.assertEqual((follower.got, follower.is_restarted), (texts(1), False))
        self.server.is_up = True
        self.pass_time(5)
        self.assertEqual(self.asked(), (200, False))
        self.assertEqual((follower.got, follower.is_restarted), (texts(1, 2), False))
