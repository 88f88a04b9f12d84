"""Clients that follow many jobs, or by HTTP, on any node of a cluster."""

import asyncio
import json
from urllib.parse import quote
from urllib.request import urlopen

import websockets
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.cluster import Cluster, Node, running_cluster, until
from tests.integration.support import PATIENCE, Broker

JOBS = [f"job_{number}" for number in range(20)]


class Follower:
    """Follows many jobs on one connection, and comes back to where it was.

    Attributes:
        got: by job, the numbers of the tasks that came.
    """

    def __init__(self) -> None:
        self.got: dict[str, list[int]] = {job: [] for job in JOBS}
        self._after: dict[str, str] = {}

    async def follow(self, node: Node, until_number: int) -> None:
        """Follow on a node until each job has come as far as the task before this number."""
        async with websockets.connect(f"{node.url}?jobs", proxy=None) as client:
            for job in JOBS:
                after = {"after": self._after[job]} if job in self._after else {}
                await client.send(json.dumps({"follow": job, **after}))
            while any(len(got) < until_number for got in self.got.values()):
                self._take(json.loads(await asyncio.wait_for(client.recv(), PATIENCE)))

    def _take(self, message: dict[str, str]) -> None:
        if message["command"] == "TASK":
            self.got[message["channel"]].append(int(message["task_id"]))
            self._after[message["channel"]] = message["id"]
        elif message["command"] == "SUBSCRIBED":
            assert self._after.get(message["channel"]) is None or message["recovered"], message


def speak(broker: Broker, first: int, last: int) -> None:
    """Send the tasks with these numbers, without the last, of all jobs."""
    for number in range(first, last):
        for job in JOBS:
            broker.send(job.encode(), b"TASK", b"%d" % number, b"COMPLETED")


def events(node: Node, query: str) -> list[tuple[str, int]]:
    """The jobs and numbers of the first tasks that a stream of events tells."""
    found: list[tuple[str, int]] = []
    host, port = node.address
    with urlopen(f"http://{host}:{port}/events?{query}", timeout=PATIENCE) as stream:
        while len(found) < 60:
            line = stream.readline()
            if line.startswith(b"data: "):
                told = json.loads(line[6:])
                if told["command"] == "TASK":
                    found.append((told["channel"], int(told["task_id"])))
    return found


class ManyJobsTests(SynchronousTestCase):
    """Many jobs on one connection."""

    def test_resumes(self) -> None:
        """Who loses its node goes on with all jobs on another, from where each was."""

        async def run(cluster: Cluster, owner: Node, edge: Node, broker: Broker) -> Follower:
            follower = Follower()
            await asyncio.to_thread(speak, broker, 0, 10)
            await follower.follow(edge, 10)
            edge.process.kill()
            await asyncio.to_thread(speak, broker, 10, 30)
            await follower.follow(owner, 30)
            return follower

        with running_cluster(2) as cluster:
            owner, edge = cluster.owner(), cluster.edge()
            broker = Broker(owner.broker)
            got = asyncio.run(run(cluster, owner, edge, broker)).got
            self.assertEqual(got, {job: [*range(30)] for job in JOBS})
            broker.close()

    def test_events(self) -> None:
        """Streams of events of several jobs are the same on all nodes."""
        with running_cluster(2) as cluster:
            broker = Broker(cluster.owner().broker)
            speak(broker, 0, 20)
            query = "&".join(f"follow={quote(job)}" for job in JOBS[:3])
            for node in (cluster.owner(), cluster.edge()):
                found = events(node, query)
                expected = [(job, number) for job in JOBS[:3] for number in range(20)]
                self.assertEqual(sorted(found), sorted(expected))
            broker.close()

    def test_snapshots(self) -> None:
        """A snapshot has the same ids on all nodes."""
        with running_cluster(2) as cluster:
            broker = Broker(cluster.owner().broker)
            speak(broker, 0, 5)
            urls = [
                f"http://{host}:{port}/channels/job_1" for host, port in self.addresses(cluster)
            ]

            def messages() -> list[object]:
                found = []
                for url in urls:
                    with urlopen(url, timeout=PATIENCE) as answer:
                        found.append(json.load(answer)["messages"])
                return found

            until(lambda: [len(one) for one in messages()] == [5, 5])  # type: ignore[arg-type]
            first, second = messages()
            self.assertEqual(first, second)
            broker.close()

    def addresses(self, cluster: Cluster) -> list[tuple[str, int]]:
        """Where the nodes serve clients."""
        return [node.address for node in cluster.nodes]
