"""Measures for how long no message comes after the owner's death."""

import asyncio
import contextlib
import os
import signal
import time

from recodex_monitor.follow import follow_job
from recodex_monitor.tools import simulate
from recodex_monitor.tools.local_nodes import Balancer

from .cluster_nodes import Cluster, running_cluster
from .contestants import free_ports

_PAUSE = 0.005
_WARM = 200
_UNDER_WAY = 0.2
"""Seconds in which messages come that had been acknowledged before the owner died."""


def measure() -> float:
    """Kill the owner of two nodes, which have the default lease.

    A broker sends 200 messages a second through a balancer that asks nobody, and a follower is on
    the other node. Returns the seconds from the kill to the first message that was sent after it.
    """
    with running_cluster(1, one_may_own=False) as cluster:
        return asyncio.run(_measured(cluster))


async def _measured(cluster: Cluster) -> float:
    nodes = [cluster.owner, *cluster.edges]
    balancer = Balancer(free_ports().publish, lambda: [node.ports.publish for node in nodes])
    url = f"ws://127.0.0.1:{cluster.edges[0].ports.websocket}/"
    sent: dict[str, float] = {}
    async with balancer.running(), asyncio.timeout(60):
        playing = asyncio.create_task(_play(balancer.port, sent))
        try:
            killed = 0.0
            async for message in follow_job(url, "job"):
                now = time.monotonic()
                number = message.get("task_id", "")
                if not killed and number == str(_WARM):
                    os.kill(cluster.owner.pid, signal.SIGKILL)
                    killed = time.monotonic()
                elif killed and now > killed + _UNDER_WAY and sent.get(number, 0.0) > killed:
                    return now - killed
        finally:
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playing
    raise AssertionError("the job ended")


async def _play(port: int, sent: dict[str, float]) -> None:
    number = 0
    with simulate.broker_socket(f"tcp://127.0.0.1:{port}", linger=0.001) as broker:
        while True:
            frames = [b"job", b"TASK", b"%d" % number, b"COMPLETED"]
            sent[str(number)] = time.monotonic()
            number += simulate.offer(broker, frames)
            await asyncio.sleep(_PAUSE)
