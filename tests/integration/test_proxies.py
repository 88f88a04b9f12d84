"""The shipped samples for proxies, each run by the real proxy."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase
from websockets.exceptions import InvalidStatus

from tests.integration.proxies import IDLE, Apache, Caddy, Nginx, Proxy
from tests.integration.proxy_clients import Follower, NotOk, lines, socket_through
from tests.integration.support import PATIENCE, Broker, Monitor, connected_broker, running_monitor

CROWD = 1000


class Job:
    """A job that is sent to a monitor."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.sent: list[dict[str, str]] = []

    def play(self, tasks: int, pause: float = 0) -> None:
        """Send some tasks."""
        for _ in range(tasks):
            number = str(len(self.sent))
            self._broker.send(b"job", b"TASK", number.encode(), b"COMPLETED")
            self.sent.append({"command": "TASK", "task_id": number, "task_state": "COMPLETED"})
            time.sleep(pause)

    def finish(self) -> None:
        """Send the last message."""
        self._broker.send(b"job", b"FINISHED")
        self.sent.append({"command": "FINISHED"})


async def until(condition: Any, seconds: float = PATIENCE) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class NginxTests(SynchronousTestCase):
    """install/proxy/nginx.conf; the classes below run the same tests with the others.

    Attributes:
        kind: the proxy.
        cut_by_reload: whether a reload ends open connections.
    """

    kind: type[Proxy] = Nginx
    cut_by_reload = True  # by worker_shutdown_timeout, which is a second here

    def setUp(self) -> None:
        """Skip the tests where the proxy is not installed."""
        if why := self.kind.missing():
            raise SkipTest(why)

    @contextmanager
    def proxied(self, idle: int = IDLE, **limits: Any) -> Iterator[tuple[Proxy, Monitor, Job]]:
        """A proxy, the monitor behind it, and a job, all running during the block."""
        with running_monitor(limits=limits) as monitor, connected_broker(monitor) as broker:
            proxy = self.kind(self.mktemp(), monitor, idle)
            try:
                proxy.start()
                yield proxy, monitor, Job(broker)
            finally:
                monitor.stop()  # so that no thread of Apache waits for it
                proxy.stop()

    def test_crowd(self) -> None:
        """1000 followers, by WebSocket and by other ways, get every message and the end."""
        with self.proxied() as (proxy, _, job):
            asyncio.run(self._crowd(proxy, job))

    async def _crowd(self, proxy: Proxy, job: Job) -> None:
        job.play(10)
        followers = [Follower(proxy, "job") for _ in range(CROWD)]
        ways = (Follower.by_events, Follower.by_polls, *[Follower.by_socket] * 8)
        async with asyncio.TaskGroup() as group:
            for number, follower in enumerate(followers):
                group.create_task(ways[number % len(ways)](follower))
                await asyncio.sleep(0.001)
            await until(lambda: all(follower.connected for follower in followers))
            await asyncio.to_thread(job.play, 20)
            job.finish()
        for follower in followers:
            self.assertEqual((follower.got, follower.end), (job.sent, "finished"))

    def test_silence(self) -> None:
        """Pings and comments keep connections open for longer than the proxy's idle timeout."""
        limits = {"ping_interval": 1, "event_comment": 1, "heartbeat": 3600}
        with self.proxied(idle=4, **limits) as (proxy, _, job):
            socket, events = asyncio.run(self._silence(proxy, job, 5.5))
        self.assertEqual((socket.got, events.got), (job.sent, job.sent))
        self.assertEqual((socket.connected, events.connected), (1, 1))

    async def _silence(self, proxy: Proxy, job: Job, seconds: float) -> tuple[Follower, Follower]:
        socket, events = Follower(proxy, "job"), Follower(proxy, "job")
        async with asyncio.TaskGroup() as group:
            group.create_task(socket.by_socket())
            group.create_task(events.by_events())
            job.play(3)
            await asyncio.sleep(seconds)
            job.finish()
        return socket, events

    def test_cut(self) -> None:
        """A client that the proxy cuts for silence resumes and loses nothing."""
        limits = {"ping_interval": 60, "event_comment": 60, "heartbeat": 60}
        with self.proxied(idle=1, **limits) as (proxy, _, job):
            socket, events = asyncio.run(self._silence(proxy, job, 2))
        self.assertEqual((socket.got, events.got), (job.sent, job.sent))
        was_cut = (socket.connected > 1, events.connected > 1)
        self.assertEqual(was_cut, (proxy.cuts_silence, proxy.cuts_silence))

    def test_reload(self) -> None:
        """A reload in mid-job loses no message."""
        with self.proxied() as (proxy, _, job):
            followers = asyncio.run(self._reload(proxy, job))
        for follower in followers:
            self.assertEqual((follower.got, follower.end), (job.sent, "finished"))
        sockets = followers[:20]
        self.assertEqual(any(one.connected > 1 for one in sockets), self.cut_by_reload)

    async def _reload(self, proxy: Proxy, job: Job) -> list[Follower]:
        followers = [Follower(proxy, "job") for _ in range(30)]
        ways = [Follower.by_socket] * 20 + [Follower.by_events] * 5 + [Follower.by_polls] * 5
        async with asyncio.TaskGroup() as group:
            for way, follower in zip(ways, followers, strict=True):
                group.create_task(way(follower))
            playing = asyncio.create_task(asyncio.to_thread(job.play, 150, 0.02))
            await until(lambda: all(len(follower.got) > 20 for follower in followers))
            await asyncio.to_thread(proxy.reload)
            await playing
            job.finish()
        return followers

    def test_promptness(self) -> None:
        """No proxy keeps a message back until there is a next one, or a poll's time is over."""
        with self.proxied() as (proxy, _, job):
            asyncio.run(self._one_by_one(proxy, job))

    async def _one_by_one(self, proxy: Proxy, job: Job) -> None:
        followers = [Follower(proxy, "job") for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            group.create_task(followers[0].by_socket())
            group.create_task(followers[1].by_events())
            group.create_task(followers[2].by_polls())
            await until(lambda: followers[0].connected and followers[1].connected)
            for _ in range(10):
                job.play(1)
                # A poll whose time is over would have been answered after 25 s.
                await until(lambda: all(one.got == job.sent for one in followers), 20)
            job.finish()

    def test_forged_address(self) -> None:
        """A client that forges its address gets no more connections than one address may have."""
        proxies = ["127.0.0.1/32"]
        limits = self.proxied(max_connections_per_address=2, trusted_proxies=proxies)
        with limits as (proxy, monitor, _):
            asyncio.run(self._forge(proxy))
            monitor.require_logged("127.0.0.2 follows")
            self.assertNotIn("10.0.0.", monitor.logged())

    async def _forge(self, proxy: Proxy) -> None:
        async with AsyncExitStack() as stack:
            for peer in ("127.0.0.2", "127.0.0.3"):
                claims = [("X-Forwarded-For", f"10.0.0.{number}") for number in range(4)]
                client = await stack.enter_async_context(
                    socket_through(proxy, local_addr=(peer, 0), additional_headers=[claims[0]])
                )
                await client.send("job")
                events = self._events(proxy, peer, claims[1])
                await anext(events)
                stack.push_async_callback(events.aclose)
                with self.assertRaises(InvalidStatus):
                    await socket_through(
                        proxy, local_addr=(peer, 0), additional_headers=[claims[2]]
                    )
                with self.assertRaisesRegex(NotOk, "503"):
                    await anext(self._events(proxy, peer, claims[3]))

    @staticmethod
    def _events(proxy: Proxy, peer: str, claim: tuple[str, str]) -> Any:
        return lines(proxy, "/events/job", (": ".join(claim),), peer)


class ApacheTests(NginxTests):
    """install/proxy/apache.conf."""

    kind = Apache
    cut_by_reload = False


class CaddyTests(NginxTests):
    """install/proxy/Caddyfile."""

    kind = Caddy
    cut_by_reload = True
