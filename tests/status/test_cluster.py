"""What is to be seen of a cluster."""

from collections.abc import Mapping
from typing import Any

from recodex_monitor.status import cluster
from recodex_monitor.status.inspection import Inspection
from recodex_monitor.status.metrics import Metrics
from recodex_monitor.status.statistics import Statistics
from recodex_monitor.tools import status
from tests.status.support import WALL, InspectionTestCase


def node(name: str, role: str, *, broker: bool = False, **more: object) -> dict[str, Any]:
    """A node, as it tells of itself."""
    told = {"name": name, "role": role, "for": 60.0, "version": "2.1", "status": f"{name}:7895"}
    return {**told, "followers": 3, "pending": 0, "unread": 0, "broker": broker, **more}


def report(**changes: Any) -> dict[str, Any]:
    """What an edge tells of a cluster in which all is well."""
    engine = {"address": "redis://a:6379", "up": True, "away": 0.0, "why": ""}
    engine["version"] = "Valkey 8.1.4"
    told = {
        "node": "two",
        "role": "edge",
        "owner": "one",
        "pending": 0,
        "unread": 0,
        "behind": 0.0,
        "engine": {**engine, "role": "master", "memory": 3 << 20, "replicas": 1},
        "nodes": [node("one", "owner", broker=True), node("two", "edge")],
        "counts": dict.fromkeys(cluster.COUNTERS, 7),
    }
    return {**told, **changes}


class Relay:
    """Tells what it is given."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.told = told

    def report(self) -> Mapping[str, Any]:
        """The cluster."""
        return self.told


class ClusterTests(InspectionTestCase):
    """The status of a node."""

    def told(self, **changes: Any) -> dict[str, Any]:
        """The status, where the cluster is so."""
        return self.node(**changes).status()

    def node(self, **changes: Any) -> Inspection:
        """An inspection of a node, where the cluster is so."""
        parts = (self.hub, self.side.connections, self.broker, self.clock)
        self.statistics = Statistics(*parts, cluster=Relay(report(**changes)))
        wall = lambda: WALL + self.clock.seconds()  # noqa: E731
        settings = {"version": "2.1"}
        return Inspection(self.statistics, settings=settings, wall=wall)

    def causes(self, **changes: Any) -> list[str]:
        """The causes that are named."""
        return [one["cause"] for one in self.told(**changes)["hints"]]

    def test_all_is_well(self) -> None:
        """An edge, to which no broker ever connects, finds nothing wrong with that."""
        self.assertEqual(self.causes(), [])

    def test_causes(self) -> None:
        """Each fault has its cause."""
        engine = {**report()["engine"], "up": False, "away": 75.0}
        silent = [node("one", "owner"), node("two", "edge")]
        self.assertEqual(self.causes(engine=engine), ["engine-away"])
        self.assertEqual(self.causes(owner=None, nodes=silent[1:]), ["no-owner"])
        self.assertEqual(self.causes(nodes=silent), ["broker-elsewhere"])
        self.assertEqual(self.causes(unread=4, behind=6.0), ["node-behind"])
        self.assertEqual(self.causes(unread=4, behind=1.0), [])

    def test_engine_refuses(self) -> None:
        """Why the engine cannot be used is said, where an attempt to reach it has told that."""
        engine = {**report()["engine"], "up": False, "away": 75.0, "why": "redis://a: WRONGPASS."}
        (hint,) = self.told(engine=engine)["hints"]
        self.assertIn("has been away for 1 min: redis://a: WRONGPASS. The owner", hint["text"])
        self.assertIn("check --connect", hint["remedy"])

    def test_owner(self) -> None:
        """The owner itself knows of its broker."""
        nodes = [node("one", "edge"), node("two", "owner")]
        causes = self.causes(owner="two", nodes=nodes)
        self.assertEqual(causes, ["broker-elsewhere", "never-connected"])

    def test_job(self) -> None:
        """The same causes are named for each job."""
        hints = self.node(owner=None, nodes=[]).channel("job")["hints"]
        self.assertEqual([one["cause"] for one in hints], ["no-owner", "unknown"])

    def test_text(self) -> None:
        """The command shows the engine and all nodes, and where the broker is connected."""
        lines = status.of_monitor(self.told())
        for line in (
            "broker     is connected to one, which owns",
            "engine     redis://a:6379, Valkey 8.1.4, 3.0 MB, 1 replicas",
            "node       one: owner for 1 min, 3 followers, version 2.1",
            "node       two (this one): edge for 1 min, 3 followers, version 2.1",
        ):
            self.assertIn(line, lines)

    def test_text_of_faults(self) -> None:
        """It shows what waits, and for how long the engine has been away."""
        engine = {**report()["engine"], "up": False, "away": 75.0}
        nodes = [node("two", "edge", pending=2, unread=4)]
        text = "\n".join(status.of_monitor(self.told(engine=engine, owner=None, nodes=nodes)))
        self.assertIn("redis://a:6379, away for 1 min", text)
        self.assertIn("broker     is not connected: no node owns", text)
        self.assertIn("2 messages wait for the engine, 4 channels not read yet", text)

    def test_metrics(self) -> None:
        """All numbers are metrics; without a cluster there are none of them."""
        alone = Metrics(self.statistics, "2.1").expose().content.decode()
        self.assertNotIn("cluster", alone)
        self.told()
        lines = Metrics(self.statistics, "2.1").expose().content.decode().splitlines()
        for line in (
            "recodex_monitor_cluster_owner 0.0",
            "recodex_monitor_cluster_nodes 2.0",
            "recodex_monitor_cluster_engine_up 1.0",
            "recodex_monitor_cluster_takeovers_total 7.0",
            "recodex_monitor_cluster_gaps_total 7.0",
        ):
            self.assertIn(line, lines)
