"""Tests of the demo with several real nodes and an engine."""

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.tools.local_monitor import HOST, free_port
from recodex_monitor.tools.local_nodes import Balancer, LocalNode
from tests.integration.test_demo import DemoTestCase
from tests.integration.tools import until


class NodesTests(DemoTestCase):
    """On a key press the node that owns is killed, and the jobs go on."""

    def read(self, descriptor: int) -> Callable[[], str]:
        """What has come from a descriptor so far, read by a thread."""
        parts: list[bytes] = []

        def run() -> None:
            try:
                while data := os.read(descriptor, 4096):
                    parts.append(data)
            except OSError:
                pass  # The other end of a terminal is closed.

        threading.Thread(target=run, daemon=True).start()
        return lambda: b"".join(parts).decode(errors="replace")

    def play(self, keys: int, output: Callable[[], str]) -> str:
        """Kill the owner, wait for the next message, and end the demo."""
        until(lambda: "running, " in output())
        first = re.findall(r"(monitor-\d) owns", output())
        self.assertEqual(len(first), 1)
        os.write(keys, b"k\n")
        until(lambda: "the next message came" in output())
        self.assertIn(f"killed {first[0]}, which owned", output())
        owners = re.findall(r"(monitor-\d) owns", output())
        self.assertEqual(len(owners), 2)
        self.assertNotEqual(*owners)
        os.write(keys, b"q\n")
        return output()

    def test_lines(self) -> None:
        """Without a terminal keys are lines, and so is what happens."""
        keys, other = os.pipe()
        self.addCleanup(os.close, other)
        demo = self.start("demo", "--nodes", "3", stdin=keys)
        os.close(keys)
        assert demo.stdout is not None
        self.play(other, self.read(os.dup(demo.stdout.fileno())))
        self.assertEqual(demo.wait(30), 0)
        self.assert_nothing_left()

    def test_terminal(self) -> None:
        """A terminal shows the nodes and the jobs, and is as before at the end."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        demo = self.start("demo", "--nodes", "2", stdin=theirs, stdout=theirs)
        output = self.read(ours)
        until(lambda: "running" in output() and "owner" in output())
        demo.send_signal(signal.SIGINT)
        self.assertEqual(demo.wait(30), 0)
        os.close(theirs)
        self.assertIn("k kills the node that owns", output())
        self.assertTrue(output().rstrip().endswith("\x1b[?25h"), "the cursor is not shown again")
        self.assert_nothing_left()


class PartTests(SynchronousTestCase):
    """The parts that connect."""

    def test_ask(self) -> None:
        """A node that does not answer, or answers otherwise, tells nothing."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + answers.pop(0))
            writer.close()

        async def run() -> list[object]:
            server = await asyncio.start_server(answer, HOST, 0)
            port = server.sockets[0].getsockname()[1]
            monitor = LocalNode(Path(), 1, 1, port, "one", "")
            async with server:
                told: list[object] = [await monitor.ask(), await monitor.ask()]
            return [*told, await monitor.ask()]

        answers = [json.dumps({"followers": 2}).encode(), b"sorry"]
        self.assertEqual(asyncio.run(run()), [{"followers": 2}, None, None])

    def test_balancer(self) -> None:
        """Connections go to the servers that accept them, in turn, and end with their server's.

        The balancer takes another port where its own is taken.
        """

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readline())
            writer.write(b"answer\n")
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()

        async def run() -> list[bytes]:
            server = await asyncio.start_server(answer, HOST, 0)
            accepts = server.sockets[0].getsockname()[1]
            targets = [free_port(), accepts, free_port()]
            balancer = Balancer(accepts, lambda: targets)
            got = []
            async with server, balancer.running():
                for _ in range(5):
                    reader, writer = await asyncio.open_connection(HOST, balancer.port)
                    writer.write(b"question\n")
                    with contextlib.suppress(ConnectionResetError):
                        got.append(await reader.read())
                    writer.close()
                    targets = targets if len(got) < 3 else []
            return [one for one in got if one]

        asked: list[bytes] = []
        self.assertEqual(asyncio.run(run()), [b"answer\n"] * 3)
        self.assertEqual(asked, [b"question\n"] * 3)
