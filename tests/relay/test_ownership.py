"""Ownership: one node owns, and another one when that cannot any more."""

from twisted.internet.defer import Deferred, ensureDeferred

from recodex_monitor.channels.channel import End
from recodex_monitor.relay.parts import Role
from tests.relay.support import Follower, NodesTestCase, log, said, texts


class OwnershipTests(NodesTestCase):
    """Nodes whose owner is about to change."""

    def setUp(self) -> None:
        """Start two nodes; the first one owns."""
        super().setUp()
        self.one = self.node()
        self.pass_time(5)
        self.two = self.node()
        self.pass_time(2)
        self.assertEqual(self.roles, [Role.OWNER, Role.EDGE])

    @property
    def roles(self) -> list[Role]:
        """What the nodes are."""
        return [node.relay.role for node in self.nodes]

    def test_one_owns(self) -> None:
        """The owner stays it, and it alone listens for the broker."""
        self.pass_time(20)
        self.assertEqual(self.roles, [Role.OWNER, Role.EDGE])
        self.assertEqual([node.is_bound for node in self.nodes], [True, False])
        self.assertEqual([node.relay.owns for node in self.nodes], [True, False])

    def test_never(self) -> None:
        """A node that is to serve clients only never owns."""
        edge = self.node(owner="never")
        self.cut(self.one)
        self.cut(self.two)
        self.pass_time(20)
        self.assertIs(edge.relay.role, Role.EDGE)

    def test_cut_off(self) -> None:
        """Another one owns; the first becomes an edge in place and hands over what it has."""
        self.one.relay.publish(said(1))
        self.pass_time(1)
        follower = Follower(self.one.hub)
        self.cut(self.one)
        self.one.relay.publish(said(2))
        self.pass_time(3)
        self.assertEqual(self.roles, [Role.OWNER, Role.OWNER])
        self.one.dialer.is_cut = False
        self.pass_time(3)
        self.assertEqual(self.roles, [Role.EDGE, Role.OWNER])
        self.assertEqual([node.is_bound for node in self.nodes], [False, True])
        self.has(self.two, 1, 2)
        self.assertEqual(follower.got, texts(1, 2))
        self.assertEqual(self.two.hub.channels["job"].epoch, self.one.hub.channels["job"].epoch)

    def test_order(self) -> None:
        """What the new owner hears comes after what the first still heard, which lets go then."""
        self.cut(self.one)
        self.one.relay.publish(said(1))
        self.pass_time(3)
        self.one.dialer.is_cut = False
        while self.one.relay.role is Role.OWNER:
            self.pass_time(0.1)
        self.one.relay.publish(said(2))
        self.two.relay.publish(said(3))
        self.pass_time(3)
        self.has(self.two, 1, 2, 3)

    def test_engine_lost_data(self) -> None:
        """The same owner takes the lease first, and the engine has everything again."""
        self.one.relay.publish(said(1, 2))
        self.pass_time(1)
        epoch = self.one.hub.channels["job"].epoch
        self.server.restart({}, {})
        self.pass_time(5)
        self.assertEqual(self.roles, [Role.OWNER, Role.EDGE])
        (entry, _) = self.server.stream(self.keys.stream("job"))
        self.assertEqual(entry[:2], (1, epoch))

    def test_both_lost(self) -> None:
        """Where an owner's data may be lost with it, open channels get new epochs."""
        self.one.relay.publish(said(1))
        self.one.relay.publish(said(1, channel="over", ends=True))
        self.pass_time(1)
        epochs = {name: one.epoch for name, one in self.one.hub.channels.items()}
        self.cut(self.one)
        self.server.restart(*self.server.copy())
        self.pass_time(10)
        self.assertIs(self.two.relay.role, Role.OWNER)
        self.has(self.two, 1)
        self.assertNotEqual(self.two.hub.channels["job"].epoch, epochs["job"])
        self.assertEqual(self.two.hub.channels["over"].epoch, epochs["over"])

    def test_stopped(self) -> None:
        """A node that stops pushes what it has; another one owns at once."""
        self.one.relay.publish(said(1))
        stopping = self.stop_first()
        self.pass_time(0.3)
        self.successResultOf(stopping)
        self.assertEqual(self.roles, [Role.EDGE, Role.OWNER])
        self.has(self.two, 1)

    def stop_first(self) -> Deferred[None]:
        """Stop the first node."""
        return ensureDeferred(self.one.relay.give_up(5.0))

    def test_stopped_without_engine(self) -> None:
        """It does not wait for ever."""
        self.cut(self.one)
        self.one.relay.publish(said(1))
        stopping = self.stop_first()
        self.pass_time(4)
        self.assertNoResult(stopping)
        self.pass_time(2)
        self.successResultOf(stopping)

    def test_port_is_taken(self) -> None:
        """A node that cannot listen for the broker lets others try."""
        self.two.is_taken = True
        third = self.node()
        self.pass_time(1)
        self.cut(self.one)
        self.pass_time(8)
        self.assertEqual(self.roles[1:], [Role.EDGE, Role.OWNER])
        self.assertTrue(third.is_bound)

    def test_time(self) -> None:
        """Channels are ended by time by the owner alone, and on all nodes."""
        self.one.relay.publish(said(1))
        self.two.hub.source.when_loaded("job", lambda: None, self.fail)
        self.pass_time(1)
        Follower(self.two.hub)
        channel = self.one.hub.channels["job"]
        on_due = self.one.hub.retention.on_due
        assert on_due is not None
        self.assertIsNone(self.two.hub.retention.on_due)
        on_due(channel, End.EXPIRED)
        self.pass_time(1)
        self.assertEqual([node.hub.channels["job"].end for node in self.nodes], [End.EXPIRED] * 2)

    def test_dies_while_handing_over(self) -> None:
        """The next owner waits for it no longer than it has to."""
        self.server.data[b"rx:yielding"] = {b"gone": 1}
        self.one.relay.publish(said(1))
        self.pass_time(3)
        self.assertEqual(log(self.one.hub.channels.get("job")), [])
        self.pass_time(6)
        self.has(self.one, 1)
