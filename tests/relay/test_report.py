"""The report and the beats: what nodes tell of themselves."""

import json

from tests.relay.support import Follower, NodesTestCase, said


class ReportTests(NodesTestCase):
    """What a node tells."""

    def test_all_nodes(self) -> None:
        """Every node knows all of them, who owns, and how the engine is."""
        one, two = self.node(), self.node()
        self.pass_time(5)
        owner, edge = (one, two) if one.is_bound else (two, one)
        owner.relay.publish(said(1, 2))
        self.pass_time(2)
        Follower(owner.hub)
        self.pass_time(2)
        for node in (one, two):
            report = json.loads(json.dumps(node.relay.report()))
            self.assertEqual(report["owner"], owner.relay.name)
            self.assertEqual([node["name"] for node in report["nodes"]], ["n0", "n1"])
            told = {node["name"]: node for node in report["nodes"]}[owner.relay.name]
            self.assertEqual((told["role"], told["followers"]), ("owner", 1))
            self.assertEqual((report["engine"]["up"], report["engine"]["away"]), (True, 0.0))
        self.assertEqual(owner.relay.report()["counts"]["pushed"], 2)
        self.assertEqual(edge.relay.report()["counts"]["pushed"], 0)
        self.assertTrue(edge.relay.hears_broker())

    def test_gone(self) -> None:
        """A node that says nothing any more is not told of, and nor is a holder of no lease."""
        one, two = self.node(), self.node()
        self.pass_time(5)
        owner, edge = (one, two) if one.is_bound else (two, one)
        self.cut(edge)
        self.server.data.pop(b"rx:node:" + edge.relay.name.encode())
        self.pass_time(2)
        names = [node["name"] for node in owner.relay.report()["nodes"]]
        self.assertEqual(names, [owner.relay.name])

    def test_outage(self) -> None:
        """How long the engine has been away, and what waits for it."""
        one = self.node()
        self.pass_time(5)
        self.server.is_up = False
        self.server.restart(*self.server.copy())
        one.relay.publish(said(1, 2, 3))
        self.pass_time(4)
        report = one.relay.report()
        self.assertEqual((report["engine"]["up"], report["pending"]), (False, 3))
        self.assertGreater(report["engine"]["away"], 3)
        self.assertEqual(report["engine"]["why"], "refused")

    def test_cut_off(self) -> None:
        """At once after a change all who reach the engine name the new owner."""
        nodes = [self.node(), self.node(), self.node()]
        self.pass_time(5)
        gone = next(node for node in nodes if node.is_bound)
        self.cut(gone)
        rest = [node for node in nodes if node is not gone]
        while not any(node.is_bound for node in rest):
            self.pass_time(0.1)
        self.pass_time(0.6)
        (owner,) = (node.relay.name for node in rest if node.is_bound)
        self.assertEqual([node.relay.report()["owner"] for node in rest], [owner] * 2)
