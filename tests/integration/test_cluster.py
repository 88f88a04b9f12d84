"""Nodes of a cluster with a real engine: every follower gets each message once, on any node."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import websockets
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.cluster import Cluster, Node, running_cluster, until
from tests.integration.support import PATIENCE, Broker
from tests.integration.test_captures import CAPTURES, Player
from tests.integration.test_delivery import follow, task

FINISHED = '{"command": "FINISHED"}'


def said(count: int) -> list[str]:
    """The texts of a job with some tasks."""
    return [*map(task, range(count)), FINISHED]


def acknowledged(cluster: Cluster, job: str) -> int:
    """How many messages of a job the engine has."""
    found = cluster.engine.ask("XLEN", f"rx:c:{job}")
    assert isinstance(found, int)
    return found


class Speaking:
    """A broker that sends tasks of jobs to the owner, through what a balancer would do.

    It is connected to one node at a time; ``move`` lets it talk to another.
    """

    def __init__(self, node: Node) -> None:
        self._broker = Broker(node.broker)

    def tasks(self, job: str, first: int, last: int, pause: float = 0.0) -> None:
        """Send the tasks with these numbers, without the last."""
        for number in range(first, last):
            self._broker.send(job.encode(), b"TASK", b"%d" % number, b"COMPLETED")
            time.sleep(pause)

    def finish(self, job: str) -> None:
        """Send the last message."""
        self._broker.send(job.encode(), b"FINISHED")

    def close(self) -> None:
        """Disconnect."""
        self._broker.close()


class ClusterTestCase(SynchronousTestCase):
    """Has followers on all nodes, in a thread."""

    def followed(
        self, cluster: Cluster, job: str, play: Callable[[], None], followers: int = 3
    ) -> list[tuple[list[str], int]]:
        """What followers of a job on each node get while something is played."""

        async def run() -> list[tuple[list[str], int]]:
            urls = [node.url for node in cluster.nodes for _ in range(followers)]
            following = [asyncio.create_task(follow(url, job)) for url in urls]
            await asyncio.sleep(0.3)
            await asyncio.to_thread(play)
            return await asyncio.wait_for(asyncio.gather(*following), 2 * PATIENCE)

        return asyncio.run(run())

    def check(self, got: list[tuple[list[str], int]], count: int) -> None:
        """Each has got the whole job, once and in order, and was closed."""
        for texts, code in got:
            self.assertEqual((texts, code), (said(count), 1000))


class OrdinaryTests(ClusterTestCase):
    """Without faults."""

    def test_all_nodes(self) -> None:
        """Followers on the owner and on edges, early and late, get the same."""
        with running_cluster(3) as cluster:
            speaking = Speaking(cluster.owner())

            def play() -> None:
                speaking.tasks("job", 0, 300)
                speaking.finish("job")

            self.check(self.followed(cluster, "job", play), 300)
            self.check(self.followed(cluster, "job", lambda: None), 300)
            speaking.close()


class EngineTests(ClusterTestCase):
    """The engine fails in the middle of a job; its owner sends again what was lost."""

    def play(self, fault: Callable[[Cluster], object], *options: str) -> None:
        """Play a job of 400 tasks, with a fault in the middle, and check what all get."""
        with running_cluster(2, *options) as cluster:
            owner = cluster.owner()
            speaking = Speaking(owner)

            def play() -> None:
                speaking.tasks("job", 0, 200, 0.001)
                failing = threading.Thread(target=fault, args=(cluster,))
                failing.start()
                speaking.tasks("job", 200, 400, 0.005)
                failing.join()
                speaking.finish("job")

            self.check(self.followed(cluster, "job", play), 400)
            until(lambda: owner.owns)
            speaking.close()

    def test_killed_without_data(self) -> None:
        """The engine comes back empty."""

        def fault(cluster: Cluster) -> None:
            cluster.engine.kill()
            time.sleep(0.5)
            cluster.engine.start()

        self.play(fault)

    def test_killed_with_data(self) -> None:
        """The engine comes back with what it had written to its file."""

        def fault(cluster: Cluster) -> None:
            cluster.engine.kill()
            time.sleep(0.5)
            cluster.engine.start()

        self.play(fault, "--appendonly", "yes", "--appendfsync", "everysec")

    def test_paused(self) -> None:
        """The engine stands still for longer than a node waits for it."""

        def fault(cluster: Cluster) -> None:
            cluster.engine.signal(signal.SIGSTOP)
            time.sleep(3)
            cluster.engine.signal(signal.SIGCONT)

        self.play(fault)

    def test_emptied(self) -> None:
        """Somebody empties the engine."""
        self.play(lambda cluster: cluster.engine.ask("FLUSHALL"))

    def test_scripts_flushed(self) -> None:
        """Somebody removes the engine's scripts."""
        self.play(lambda cluster: cluster.engine.ask("SCRIPT", "FLUSH"))

    def test_connections_cut(self) -> None:
        """Somebody cuts all connections to the engine."""

        def fault(cluster: Cluster) -> None:
            cluster.engine.ask("CLIENT", "KILL", "TYPE", "normal")
            cluster.engine.ask("CLIENT", "KILL", "TYPE", "pubsub")

        self.play(fault)


class OwnerTests(ClusterTestCase):
    """The owner fails in the middle of a job; the broker goes to the next one."""

    def play(self, fault: Callable[[Node], None], *, is_alive: bool = False) -> None:
        """Play a job whose owner fails between two tasks; followers are on another node."""
        with running_cluster(2) as cluster:
            first = cluster.owner()
            edge = cluster.edge()
            everybody = cluster.nodes
            cluster.nodes = [edge, first] if is_alive else [edge]

            def play() -> None:
                speaking = Speaking(first)
                speaking.tasks("job", 0, 200)
                until(lambda: acknowledged(cluster, "job") == 200)
                fault(first)
                until(lambda: edge.owns)
                speaking.close()
                speaking = Speaking(edge)
                speaking.tasks("job", 200, 400)
                speaking.finish("job")
                speaking.close()

            self.check(self.followed(cluster, "job", play), 400)
            cluster.nodes = everybody

    def test_killed(self) -> None:
        """Another takes over when the lease has lapsed."""
        self.play(lambda node: node.process.kill())

    def test_suspended(self) -> None:
        """An owner that stands still and goes on is an edge then; its clients miss nothing."""

        def fault(node: Node) -> None:
            os.kill(node.process.pid, signal.SIGSTOP)
            threading.Timer(5, os.kill, (node.process.pid, signal.SIGCONT)).start()

        self.play(fault, is_alive=True)

    def test_stopped(self) -> None:
        """SIGTERM hands the lease over at once."""
        self.play(lambda node: node.process.send_signal(signal.SIGTERM))


class CutOffTests(ClusterTestCase):
    """The owner alone loses the engine."""

    def test_another_owns(self) -> None:
        """It lets the broker go once another owns, and hands over what it could not push."""
        with running_cluster(2) as cluster:
            first, edge = cluster.owner(), cluster.edge()

            def play() -> None:
                speaking = Speaking(first)
                speaking.tasks("job", 0, 100)
                until(lambda: acknowledged(cluster, "job") == 100 and first.knows(2))
                cluster.links[first].stop()
                speaking.tasks("job", 100, 200)
                until(lambda: edge.owns and not first.owns)
                cluster.links[first].start()
                until(lambda: acknowledged(cluster, "job") == 200)
                speaking.close()
                speaking = Speaking(edge)
                speaking.tasks("job", 200, 300)
                speaking.finish("job")
                speaking.close()

            self.check(self.followed(cluster, "job", play), 300)


class HandOverTests(ClusterTestCase):
    """What clients and the broker notice when a node goes."""

    def test_stopped_under_load(self) -> None:
        """After SIGTERM another node takes over, and nothing is lost."""
        with running_cluster(3) as cluster:
            first = cluster.owner()
            others = [node for node in cluster.nodes if node is not first]

            def play() -> None:
                speaking = Speaking(first)
                speaking.tasks("job", 0, 100, 0.005)
                speaking.close()
                first.process.send_signal(signal.SIGTERM)
                until(lambda: any(one.owns for one in others))
                speaking = Speaking(next(one for one in others if one.owns))
                speaking.tasks("job", 100, 200)
                speaking.finish("job")
                speaking.close()

            cluster.nodes = others
            self.check(self.followed(cluster, "job", play), 200)
            cluster.nodes = [*others, first]

    def test_resumes(self) -> None:
        """A client that loses its node resumes on another, without a repeated message."""
        with running_cluster(2) as cluster:
            owner, edge = cluster.owner(), cluster.edge()
            speaking = Speaking(owner)

            async def run() -> tuple[list[int], list[int], bool]:
                async with websockets.connect(f"{edge.url}?after=", proxy=None) as client:
                    await client.send("job")
                    await client.recv()
                    await asyncio.to_thread(speaking.tasks, "job", 0, 50)
                    first = [json.loads(await client.recv()) for _ in range(50)]
                    edge.process.kill()
                await asyncio.to_thread(speaking.tasks, "job", 50, 80)
                url = f"{owner.url}?after={first[-1]['id']}"
                async with websockets.connect(url, proxy=None) as client:
                    await client.send("job")
                    told = json.loads(await client.recv())
                    rest = [json.loads(await client.recv()) for _ in range(30)]
                numbers = [[int(one["task_id"]) for one in part] for part in (first, rest)]
                return numbers[0], numbers[1], told["recovered"]

            self.assertEqual(asyncio.run(run()), ([*range(50)], [*range(50, 80)], True))
            speaking.close()

    def test_readiness(self) -> None:
        """A node is ready once it has reached the engine, whether it owns or not."""
        with running_cluster(2) as cluster:
            until(lambda: [one.asked("/readyz") for one in cluster.nodes] == [200, 200])
            until(lambda: sorted(one.asked("/ownerz") for one in cluster.nodes) == [200, 503])


class JobTests(ClusterTestCase):
    """What is known of jobs."""

    def test_any_node_tells(self) -> None:
        """The status of every node tells of every job, also of one that is kept no longer."""
        with running_cluster(2, channels={"retention": 1}) as cluster:
            speaking = Speaking(cluster.owner())
            speaking.tasks("job", 0, 20)
            until(lambda: acknowledged(cluster, "job") == 20)
            for node in cluster.nodes:
                # A node that does not follow a channel learns of its messages when it is asked.
                until(lambda node=node: self.is_running(node))  # type: ignore[misc]
            speaking.finish("job")
            until(lambda: acknowledged(cluster, "job") == 0)
            until(lambda: all(self.is_forgotten(node) for node in cluster.nodes))
            speaking.close()

    def is_running(self, node: Node) -> bool:
        """Whether a node tells of all messages of the running job, and of nothing wrong with it."""
        told = node.told("/api/channels/job")
        return (told["state"], told["messages"], told["hints"]) == ("running", 20, [])

    def is_forgotten(self, node: Node) -> bool:
        """Whether a node tells how the job ended."""
        told = node.told("/api/channels/job")
        return (told["state"], told["end"], told["messages"]) == ("forgotten", "finished", 21)


class CaptureTests(SynchronousTestCase):
    """Recorded traffic of the real broker."""

    def test_on_owner_and_edge(self) -> None:
        """Clients of the owner and of an edge get what was recorded, byte for byte."""
        with running_cluster(2) as cluster:
            owner, edge = cluster.owner(), cluster.edge()

            async def play(capture: Path) -> list[str]:
                player = NodesPlayer(owner)
                player.urls = [owner.url, edge.url]
                return await player.play([*map(json.loads, capture.read_text().splitlines())])

            async def run() -> dict[str, list[str]]:
                played = zip(captures, await asyncio.gather(*map(play, captures)), strict=True)
                return {capture.stem: names for capture, names in played if names}

            # There the monitor is killed, and loses what a cluster keeps.
            captures = [one for one in CAPTURES if one.stem != "monitor_restart"]
            self.assertEqual(asyncio.run(run()), {})


class NodesPlayer(Player):
    """Plays a recording into nodes, which run already and go on after it."""

    async def on_monitor(self, record: dict[str, Any]) -> None:
        """Leave the nodes as they are."""

    def stop_monitor(self) -> None:
        """Leave them."""


class StartTests(SynchronousTestCase):
    """The begin."""

    def test_one_owner(self) -> None:
        """Of nodes that start together, one owns, and stays it."""
        with running_cluster(3) as cluster:
            owner = cluster.owner()
            for _ in range(10):
                time.sleep(0.1)
                self.assertEqual([one for one in cluster.nodes if one.owns], [owner])
