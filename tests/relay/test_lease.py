"""The lease and the fence."""

from twisted.internet.defer import ensureDeferred

from recodex_monitor.relay.connection import EngineError
from recodex_monitor.relay.lease import Holder, Lease
from tests.relay.support import PartTestCase


class LeaseTests(PartTestCase):
    """Two nodes that want it."""

    def setUp(self) -> None:
        """Make their leases."""
        super().setUp()
        self.one, self.two = (Lease(self.engine, self.keys, name, 1.5) for name in ("one", "two"))

    def take(self, lease: Lease, *, only_beside_fence: bool = False) -> Holder:
        """Take it."""
        taking = ensureDeferred(lease.take(only_beside_fence=only_beside_fence))
        holder: Holder = self.successResultOf(taking)
        return holder

    def test_one_holds(self) -> None:
        """One has it, renews it, and another gets it when it lapses or is given back."""
        self.assertEqual(self.take(self.one).name, "one")
        self.clock.advance(1)
        self.assertEqual([self.take(self.two).name, self.take(self.one).name], ["one", "one"])
        self.clock.advance(1)
        self.assertEqual(self.take(self.two).name, "one")
        self.clock.advance(0.6)
        self.assertEqual(self.take(self.two).name, "two")
        self.successResultOf(ensureDeferred(self.one.release()))
        self.assertEqual(self.take(self.one).name, "two")
        self.successResultOf(ensureDeferred(self.two.release()))
        self.assertEqual(self.take(self.one).name, "one")

    def test_empty_engine(self) -> None:
        """Where there is no fence, its owner may be about to return."""
        self.assertEqual(self.take(self.one, only_beside_fence=True), ("", "", 0))
        self.take(self.one)
        self.successResultOf(ensureDeferred(self.one.fence()))
        self.successResultOf(ensureDeferred(self.one.release()))
        self.assertEqual(self.take(self.two, only_beside_fence=True).name, "two")

    def test_fence(self) -> None:
        """Only who has the lease fences others off, and learns whom."""
        self.take(self.one)
        self.failureResultOf(ensureDeferred(self.two.fence()), EngineError)
        fence = self.successResultOf(ensureDeferred(self.one.fence()))
        self.assertEqual(fence, ([], "", ""))
        self.successResultOf(ensureDeferred(self.one.verified("run", "replication")))
        self.clock.advance(2)
        self.take(self.two)
        fence = self.successResultOf(ensureDeferred(self.two.fence()))
        self.assertEqual(fence, ([self.one.token], "run", "replication"))
        # It died before it knew all messages: the next one learns of both.
        self.clock.advance(2)
        self.one.renew_token()
        old, self.two.token = self.two.token, "x"
        self.take(self.one)
        fence = self.successResultOf(ensureDeferred(self.one.fence()))
        self.assertEqual(fence.tokens[0], old)
        self.assertEqual(len(fence.tokens), 2)
        self.assertEqual(self.one.generation, 3)

    def test_others(self) -> None:
        """An owner's own older token, in an engine that has lost data, is nobody else."""
        self.take(self.one)
        self.successResultOf(ensureDeferred(self.one.fence()))
        self.assertFalse(self.one.is_others(self.take(self.one)))
        self.assertFalse(self.one.is_others(Holder(self.one.value, "older", 0)))
        self.assertTrue(self.one.is_others(Holder(self.one.value, "newer", 2)))
        self.assertTrue(self.one.is_others(Holder("", "", 0)))

    def test_seen(self) -> None:
        """The last token of another owner is remembered, even if the engine forgets it."""
        self.take(self.one)
        self.successResultOf(ensureDeferred(self.one.fence()))
        self.take(self.two)
        self.server.data.clear()
        self.take(self.two)
        self.assertEqual((self.two.seen, self.one.seen), (self.one.token, ""))
