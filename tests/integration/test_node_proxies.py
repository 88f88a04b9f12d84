"""The shipped samples for several nodes, each run by the real proxy, with real nodes and engine."""

import asyncio
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration.cluster import Cluster, Node, running_cluster, until
from tests.integration.node_proxies import Haproxy, NodesNginx, NodesProxy
from tests.integration.proxy_clients import Follower
from tests.integration.support import PATIENCE, Broker
from tests.integration.test_cluster import acknowledged

MESSAGES = 400
LAST = 300
"""The number of the first message that is sent once another node owns."""

PAUSE = 0.005
FOLLOWERS = 6


class Playing:
    """A job that is sent through a proxy, by a broker that never stops.

    Attributes:
        sent: how many messages were sent.
    """

    def __init__(self, proxy: NodesProxy, goes_on: Callable[[], bool]) -> None:
        """Make a job whose last messages wait until it goes on elsewhere."""
        self._broker = Broker(proxy.broker)
        self._goes_on = goes_on
        self.sent = 0

    def play(self, pause: float) -> None:
        """Send it all, with a pause after each message."""
        for number in range(MESSAGES):
            if number == LAST:
                until(self._goes_on)
            self._broker.send(b"job", b"TASK", b"%d" % number, b"COMPLETED")
            self.sent += 1
            time.sleep(pause)
        self._broker.send(b"job", b"FINISHED")
        self._broker.close()


class NodesCase(SynchronousTestCase):
    """Plays jobs through a proxy.

    Attributes:
        kind: the proxy.
        pushed: how many messages the owner had certainly pushed when it failed.
    """

    kind: type[NodesProxy]

    def setUp(self) -> None:
        """Skip the tests where the proxy is not installed."""
        if why := self.kind.missing():
            raise SkipTest(why)

    @contextmanager
    def proxied(self) -> Iterator[tuple[NodesProxy, Cluster]]:
        """A proxy, with three nodes behind it, during the block."""
        with running_cluster(3) as cluster:
            cluster.owner()
            proxy = self.kind(self.mktemp(), cluster)
            try:
                proxy.start()
                yield proxy, cluster
            finally:
                proxy.stop()

    def got(self, fault: Callable[[Node], object], pause: float = PAUSE) -> list[int]:
        """Play a job whose owner fails in the middle; the numbers of what all followers got.

        Whoever follows gets the same, each message once, wherever he follows.
        """
        with self.proxied() as (proxy, cluster):
            owner = cluster.owner()
            others = [node for node in cluster.nodes if node is not owner]
            playing = Playing(proxy, lambda: any(node.owns for node in others))
            followers = [Follower(proxy, "job") for _ in range(FOLLOWERS)]

            async def run() -> None:
                following = [asyncio.create_task(one.by_socket()) for one in followers]
                while not all(one.connected for one in followers):
                    await asyncio.sleep(0.02)
                thread = threading.Thread(target=playing.play, args=(pause,))
                thread.start()
                await asyncio.to_thread(until, lambda: playing.sent > MESSAGES // 4)
                self.pushed = acknowledged(cluster, "job")
                fault(owner)
                await asyncio.wait_for(asyncio.gather(*following), 2 * PATIENCE)
                await asyncio.to_thread(thread.join)

            asyncio.run(run())
            got = [int(one["task_id"]) for one in followers[0].got if "task_id" in one]
            self.assertEqual(len(got), len(set(got)))
            self.assertEqual([one.end for one in followers], ["finished"] * FOLLOWERS)
            self.assertTrue(all(one.got == followers[0].got for one in followers))
            self.assertIsNot(cluster.owner(), owner)
            return got

    def check_lost(self, got: list[int]) -> None:
        """The order is the broker's; what is lost was on its way when the owner failed.

        How much that is depends on the machine: what was pushed before and what was sent once
        another node owned is not lost, and all between is lost in one piece.
        """
        self.assertEqual(got, sorted(got))
        lost = sorted(set(range(MESSAGES)) - set(got))
        self.assertEqual(lost, list(range(lost[0], lost[-1] + 1)) if lost else [])
        self.assertEqual([one for one in lost if not self.pushed <= one < LAST], [])

    def counts(self, cluster: Cluster) -> list[int]:
        """How many followers each node has."""
        return [node.told("/api/status")["followers"] for node in cluster.nodes]


class NginxTests(NodesCase):
    """install/proxy/nginx.conf and nginx-stream.conf; the class below adds to these tests."""

    kind: type[NodesProxy] = NodesNginx

    def test_owner_killed(self) -> None:
        """Messages go on by another node; what the owner had not pushed yet is lost."""
        self.check_lost(self.got(lambda node: node.process.kill()))

    def test_owner_stopped(self) -> None:
        """A node that is stopped hands over to another one; no message is lost."""
        got = self.got(lambda node: node.process.terminate())
        self.assertEqual(got, [*range(MESSAGES)])

    def test_spread(self) -> None:
        """Followers are spread over all nodes, with their own addresses."""
        with self.proxied() as (proxy, cluster):
            followers = [Follower(proxy, "job") for _ in range(FOLLOWERS)]

            async def run() -> None:
                following = [asyncio.create_task(one.by_socket()) for one in followers]
                await asyncio.to_thread(until, lambda: self.counts(cluster) == [2, 2, 2])
                for one in following:
                    one.cancel()

            asyncio.run(run())


class HaproxyTests(NginxTests):
    """install/proxy/haproxy.cfg."""

    kind = Haproxy

    def test_owner_stands_still(self) -> None:
        """A node that gives no answer is left, though its connections are not closed."""

        def fault(node: Node) -> None:
            os.kill(node.process.pid, signal.SIGSTOP)
            threading.Timer(6, os.kill, (node.process.pid, signal.SIGCONT)).start()

        got = self.got(fault, 0.03)
        self.assertEqual(sorted(got), list(range(MESSAGES)))
        # What the old owner had got before the proxy left it comes late: it stands in one piece
        # behind the new owner's first messages.
        breaks = [one for one, after in itertools.pairwise(got) if after != one + 1]
        self.assertLessEqual(len(breaks), 3)
        self.assertTrue(breaks, "the proxy has not left the node")
