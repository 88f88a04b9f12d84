"""Many jobs on one connection, over real sockets."""

import asyncio
import contextlib
import json
import random
import re
import socket
import tempfile
import time
from collections import defaultdict

import websockets
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.support import PATIENCE, Monitor, connected_broker, running_monitor

JOBS, TASKS = 40, 30
COMPLETE = [*(str(number) for number in range(TASKS)), "FINISHED"]


class Follower:
    """A client that follows jobs to their ends, over as many connections as that takes.

    Attributes:
        got: the task's id, or the command, of each message, by channel.
        ended: the channels that have ended.
        connections: how many there were.
    """

    def __init__(self, url: str, channels: list[str], chance: random.Random) -> None:
        self.got: defaultdict[str, list[str]] = defaultdict(list)
        self.ended: set[str] = set()
        self.connections = 0
        self._url = f"{url}?jobs"
        self._channels = channels
        self._chance = chance
        self._last: dict[str, str] = {}

    async def follow(self) -> None:
        """Follow all channels to their ends."""
        while len(self.ended) < len(self._channels):
            with contextlib.suppress(OSError, websockets.WebSocketException):
                await self._connect()
            await asyncio.sleep(0.05)

    async def _connect(self) -> None:
        async with websockets.connect(self._url, proxy=None, max_queue=None) as client:
            self.connections += 1
            for channel in self._channels:
                if channel not in self.ended:
                    await self._ask(client, follow=channel, after=self._last.get(channel))
            cut = self._chance.randrange(20, 400)
            async for text in client:
                told = json.loads(text)
                self._keep(told)
                if self._chance.random() < 0.02 and told["channel"] not in self.ended:
                    await self._ask(client, unfollow=told["channel"])
                    after = self._last.get(told["channel"])
                    await self._ask(client, follow=told["channel"], after=after)
                cut -= 1
                if not cut or len(self.ended) == len(self._channels):
                    return

    async def _ask(self, client: websockets.ClientConnection, **request: object) -> None:
        await client.send(json.dumps(request))

    def _keep(self, told: dict[str, str]) -> None:
        channel, command = told.get("channel", ""), told["command"]
        if command == "END":
            self.ended.add(channel)
        elif "id" in told and told["id"] not in self._seen(channel):
            self._last[channel] = told["id"]
            self.got[channel].append(told.get("task_id", command))

    def _seen(self, channel: str) -> set[str]:
        """The ids up to the last one; what was under way before an ``unfollow`` comes again."""
        epoch, _, number = self._last.get(channel, ":0").partition(":")
        return {f"{epoch}:{each}" for each in range(int(number) + 1)}


class ManyJobsTests(SynchronousTestCase):
    """Clients that follow many jobs while these run."""

    def test_lists_are_complete(self) -> None:
        """Through cuts, unfollows and a restart each client gets each job's messages once."""
        jobs = [f"job-{number}" for number in range(JOBS)]

        def play(monitor: Monitor) -> None:
            for half in (range(TASKS // 2), range(TASKS // 2, TASKS)):
                with connected_broker(monitor) as broker:
                    for number in half:
                        for job in jobs:
                            broker.send(job.encode(), b"TASK", b"%d" % number, b"COMPLETED")
                        time.sleep(0.02)
                    if half.start:
                        broker.send_all([(job.encode(), b"FINISHED") for job in jobs])
                if not half.start:
                    monitor.stop()
                    monitor.start()

        async def check(monitor: Monitor) -> list[Follower]:
            followers = [Follower(monitor.url, jobs, random.Random(seed)) for seed in range(8)]
            playing = asyncio.create_task(asyncio.to_thread(play, monitor))
            await asyncio.wait_for(
                asyncio.gather(*(each.follow() for each in followers)), 4 * PATIENCE
            )
            await playing
            return followers

        with (
            tempfile.TemporaryDirectory() as folder,
            running_monitor(history={"file": f"{folder}/history.db"}) as monitor,
        ):
            for follower in asyncio.run(check(monitor)):
                self.assertEqual(dict(follower.got), dict.fromkeys(jobs, COMPLETE))
                self.assertGreater(follower.connections, 1)

    def test_slow_reader(self) -> None:
        """A client that reads nothing for a while delays nobody, and gets all in the end."""

        async def check(monitor: Monitor) -> None:
            url = f"{monitor.url}?jobs"
            async with (
                websockets.connect(url, proxy=None, max_size=None, max_queue=1) as slow,
                websockets.connect(url, proxy=None, max_size=None) as quick,
            ):
                for client in (slow, quick):
                    for channel in "ab":
                        await client.send(json.dumps({"follow": channel}))
                await asyncio.to_thread(play, monitor)
                self.assertEqual(await commands(quick), (due, due))
                self.assertEqual(await commands(slow), (due, due))

        async def commands(client: websockets.ClientConnection) -> tuple[list[str], list[str]]:
            got: dict[str, list[str]] = {"a": [], "b": []}
            while not got["a"][-1:] == got["b"][-1:] == ["END"]:
                told = json.loads(await asyncio.wait_for(client.recv(), 60))
                if "channel" in told:
                    got[told["channel"]].append(told.get("task_id", told["command"])[-9:])
            return got["a"], got["b"]

        def play(monitor: Monitor) -> None:
            with connected_broker(monitor) as broker:
                for number in range(4000):
                    for channel in (b"a", b"b"):
                        broker.send(channel, b"TASK", b"x" * 1000 + b"%09d" % number, b"COMPLETED")
                broker.send_all([(b"a", b"FINISHED"), (b"b", b"FINISHED")])

        due = ["SUBSCRIBED"[-9:], *(f"{number:09}" for number in range(4000)), "FINISHED", "END"]
        with running_monitor() as monitor:
            asyncio.run(check(monitor))

    def test_event_stream(self) -> None:
        """The same over plain HTTP, through the end of each job."""
        with running_monitor() as monitor, socket.create_connection(monitor.address) as client:
            query = "follow=a&follow=b%40c&follow=" + "x" * 600
            client.sendall(f"GET /ws/events?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            client.settimeout(PATIENCE)
            data = client.recv(65536)
            with connected_broker(monitor) as broker:
                for channel in (b"a", b"b@c"):
                    broker.send(channel, b"TASK", b"t", b"COMPLETED")
                    broker.send(channel, b"FINISHED")
            while not data.endswith(b"0\r\n\r\n"):
                data += client.recv(65536)
        told = [json.loads(each) for each in re.findall(rb"^data: (.*?)\r?$", data, re.M)]
        got = [(each["channel"][:3], each["command"]) for each in told]
        ended = [(name, each) for name in ("a", "b@c") for each in ("TASK", "FINISHED", "END")]
        self.assertEqual(
            sorted(got),
            sorted([("xxx", "REFUSED"), ("a", "SUBSCRIBED"), ("b@c", "SUBSCRIBED"), *ended]),
        )
