"""Evicting: the next owner does not have what this one had no room for."""

from recodex_monitor.relay.follower import LINGER
from recodex_monitor.settings.schema import Channels
from tests.relay.support import Follower, Node, NodesTestCase, log, said, texts
from tests.support.settings import change


class EvictingTests(NodesTestCase):
    """An owner that has room for one channel."""

    def setUp(self) -> None:
        """Start it."""
        super().setUp()
        self.one = self.start()
        self.pass_time(5)
        change(self.one.hub.settings, max_channels=1)

    def start(self) -> Node:
        """Start a node."""
        channels = Channels(retention=100, idle_timeout=1000)
        self.nodes.append(Node(self, f"n{len(self.nodes)}", channels))
        self.addCleanup(self.nodes[-1].relay.stop)
        return self.nodes[-1]

    def successor(self) -> Node:
        """The owner after this one was killed."""
        self.cut(self.one)
        two = self.start()
        self.pass_time(8)
        self.assertTrue(two.relay.owns)
        return two

    def test_evicted(self) -> None:
        """It is gone from the engine as soon as edges have read it, but not how it ended."""
        self.one.relay.publish(said(1, channel="first", ends=True))
        self.pass_time(1)
        self.one.relay.publish(said(2))
        self.pass_time(1)
        self.assertEqual([*self.one.hub.channels], ["job"])
        self.assertIn(b"rx:c:first", self.server.data)
        self.pass_time(10)
        two = self.successor()
        self.assertEqual([*two.hub.channels], ["job"])
        self.assertEqual(log(two.hub.channels["job"]), texts(2))
        self.assertIn(b"rx:end:first", self.server.data)

    def test_evaluated_again(self) -> None:
        """A job that is evaluated again meanwhile loses nothing."""
        self.one.relay.publish(said(1, channel="first", ends=True))
        self.pass_time(1)
        self.one.relay.publish(said(2, ends=True))
        self.pass_time(1)
        self.one.relay.publish(said(3, channel="first"))
        self.pass_time(12)
        self.assertEqual([*self.successor().hub.channels], ["first"])

    def test_running(self) -> None:
        """A running channel goes if nobody follows it on any node, and stays if somebody does."""
        edge = self.start()
        self.pass_time(2)
        self.one.relay.publish(said(1, channel="first"))
        edge.hub.source.when_loaded("first", lambda: None, self.fail)
        self.pass_time(2)
        Follower(edge.hub, "first")
        self.one.relay.publish(said(2))
        self.pass_time(2)
        self.assertEqual([*self.one.hub.channels], ["first"])
        self.assertEqual(self.one.hub.dropped.counts, {"no room": 1})
        follower = next(iter(edge.hub.channels["first"].subscriptions))
        edge.hub.unsubscribe(follower)
        self.pass_time(LINGER + 2)
        self.one.relay.publish(said(3))
        self.pass_time(2)
        self.assertEqual([*self.one.hub.channels], ["job"])
        self.has(self.one, 3)

    def test_room(self) -> None:
        """Nothing is asked as long as there is room."""
        change(self.one.hub.settings, max_channels=10)
        self.one.relay.publish(said(1))
        self.pass_time(3)
        self.assertEqual(self.one.relay.evicting.unfollowed, set())
