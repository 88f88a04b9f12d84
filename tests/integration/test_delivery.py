"""Every message reaches every client, whatever happens around it."""

import asyncio
import random
import socket
import time
from typing import Any

import websockets
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.support import Monitor, connected_broker, running_monitor
from tests.support.frames import CLOSE, HANDSHAKE, TEXT, frame


async def follow(url: str, channel_id: str) -> tuple[list[str], int]:
    """Follow a channel to its end; returns the texts and the close code, 1006 for none."""
    texts = []
    async with websockets.connect(url, max_size=None, open_timeout=30, proxy=None) as client:
        await client.send(channel_id)
        try:
            while True:
                texts.append(str(await client.recv()))
        except websockets.ConnectionClosed as closed:
            return texts, closed.rcvd.code if closed.rcvd else 1006


def task(number: int) -> str:
    """The text of a task's message."""
    return f'{{"command": "TASK", "task_id": "{number}", "task_state": "COMPLETED"}}'


class ManyClientsTests(SynchronousTestCase):
    """Clients that join while jobs run."""

    def test_clients_join_at_random(self) -> None:
        """200 clients join 50 running jobs at random moments; all get the complete lists."""
        jobs, tasks, clients = 50, 40, 200
        chance = random.Random(1)
        complete = [task(number) for number in range(tasks)] + ['{"command": "FINISHED"}']

        def play(monitor: Monitor) -> None:
            with connected_broker(monitor) as broker:
                for number in range(tasks):
                    for job in range(jobs):
                        frames = (b"TASK", str(number).encode(), b"COMPLETED")
                        broker.send(b"job-%d" % job, *frames)
                    time.sleep(0.05)
                broker.send_all([(b"job-%d" % job, b"FINISHED") for job in range(jobs)])

        async def join(monitor: Monitor, job: int, after: float) -> tuple[list[str], int]:
            await asyncio.sleep(after)
            return await follow(monitor.url, f"job-{job}")

        async def check(monitor: Monitor) -> None:
            joined = [
                join(monitor, chance.randrange(jobs), chance.uniform(0, 2.5))
                for _ in range(clients)
            ]
            playing = asyncio.create_task(asyncio.to_thread(play, monitor))
            for texts, code in await asyncio.gather(*joined):
                self.assertEqual(texts, complete)
                self.assertEqual(code, 1000)
            await playing

        with running_monitor() as monitor:
            asyncio.run(check(monitor))


class HostileBrokerTests(SynchronousTestCase):
    """Whatever the broker sends, the monitor goes on."""

    def assert_serves(self, monitor: Monitor, broker: Any) -> None:
        """A new job reaches its client."""
        broker.send(b"good", b"FINISHED")
        texts, code = asyncio.run(follow(monitor.url, "good"))
        self.assertEqual((texts, code), (['{"command": "FINISHED"}'], 1000))

    def test_malformed_messages(self) -> None:
        """One frame, the exit command, no id, invalid UTF-8: dropped and logged."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            broker.send_all([(b"alone",), (b"0", b"exit"), (b"", b"TASK"), (b"job", b"\xff\n")])
            self.assert_serves(monitor, broker)
            monitor.require_logged("no command frame: [b'alone']")
            monitor.require_logged("a frame that is not UTF-8: [b'job', b'\\xff\\n']")
            monitor.require_logged("an empty channel id")

    def test_random_frames(self) -> None:
        """100,000 messages of random frames do not stop the monitor."""
        chance = random.Random(2)
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            for _ in range(100_000):
                frames = [chance.randbytes(chance.randrange(4)) for _ in range(chance.randrange(6))]
                broker.send(*frames, b"")
            self.assert_serves(monitor, broker)

    def test_exit_where_it_is_allowed(self) -> None:
        """The exit command ends a monitor whose settings allow it, with exit code 0."""
        with running_monitor(zeromq={"allow_exit": True}) as monitor:
            with connected_broker(monitor) as broker:
                broker.send(b"0", b"exit")
            monitor.process.communicate(timeout=15)
            self.assertEqual(monitor.process.returncode, 0)

    def test_many_messages_in_order(self) -> None:
        """More messages than are read at once all arrive, in order."""
        with running_monitor() as monitor:
            with connected_broker(monitor) as broker:
                for number in range(5000):
                    broker.send(b"job", b"TASK", str(number).encode(), b"COMPLETED")
                broker.send(b"job", b"FINISHED")
                texts, _ = asyncio.run(follow(monitor.url, "job"))
            self.assertEqual(texts[:-1], [task(number) for number in range(5000)])


class SlowReaderTests(SynchronousTestCase):
    """Clients that read slowly."""

    def test_slow_reader_gets_every_byte_and_a_clean_end(self) -> None:
        """A slow client gets all of a long job, the close frame, and no reset."""
        texts = [task(number) for number in range(20_000)]
        with running_monitor() as monitor:
            with connected_broker(monitor) as broker:
                for number in range(20_000):
                    broker.send(b"job", b"TASK", str(number).encode(), b"COMPLETED")
                broker.send(b"job", b"FINISHED")
            with socket.socket() as slow:
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                slow.connect(monitor.address)
                slow.sendall(HANDSHAKE + frame(TEXT, b"job"))
                data = self.read_slowly(slow)
                slow.sendall(frame(CLOSE, b"\x03\xe8"))
                self.assertEqual(slow.recv(1), b"")
        head, _, body = data.partition(b"\r\n\r\n")
        self.assertIn(b" 101 ", head)
        self.assertEqual(body.count(b'"TASK"'), len(texts))
        self.assertTrue(body.endswith(b'{"command": "FINISHED"}\x88\x02\x03\xe8'))

    @staticmethod
    def read_slowly(connected: socket.socket) -> bytes:
        """Read up to the close frame, with a long pause before and short ones in between."""
        time.sleep(7)  # longer than a client has to answer a close frame
        data = bytearray()
        while not data.endswith(b"\x88\x02\x03\xe8"):
            data += connected.recv(65536)
            time.sleep(0.001)
        return bytes(data)
