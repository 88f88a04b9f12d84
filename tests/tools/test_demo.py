"""Tests of the demo, without a monitor and without a network."""

import argparse
import io
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.tools import demo, terminal
from recodex_monitor.tools.local_monitor import LocalMonitor, MonitorError


class RunTests(SynchronousTestCase):
    """The exit code says how the demo ended."""

    def setUp(self) -> None:
        """Catch what the command prints."""
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.stdout)
        self.patch(sys, "stderr", self.stderr)

    def run_demo(self, error: BaseException | None = None, options: str = "") -> int:
        """Run the command with a demo that ends at once, perhaps by an error."""

        async def end(exit_at_end: bool, nodes: int) -> None:
            if error is not None:
                raise error

        self.patch(demo, "_demo", end)
        parser = argparse.ArgumentParser()
        demo.add_arguments(parser)
        return demo.run(parser.parse_args(options.split()))

    def test_ended(self) -> None:
        """An end by --exit, a signal or Ctrl-C is 0, and prints nothing."""
        self.assertEqual(self.run_demo(), 0)
        self.assertEqual(self.run_demo(KeyboardInterrupt()), 0)
        self.assertEqual(self.stderr.getvalue(), "")

    def test_nodes(self) -> None:
        """The number of nodes is one that a screen can show."""
        self.assertEqual(self.run_demo(options="--nodes 3"), 0)
        for number in ("0", "10", "-1", "two"):
            self.assertRaises(SystemExit, self.run_demo, None, f"--nodes {number}")
        self.assertIn("is not a number from 1 to 9", self.stderr.getvalue())

    def test_monitor_failed(self) -> None:
        """A monitor that fails is 1, with the reason."""
        self.assertEqual(self.run_demo(MonitorError("it is gone")), 1)
        self.assertEqual(self.stderr.getvalue(), "recodex-monitor demo: it is gone\n")

    def test_output_closed(self) -> None:
        """If its output is closed, the error does not blame the monitor."""
        self.assertEqual(self.run_demo(BrokenPipeError()), 1)
        self.assertIn("nobody reads", self.stderr.getvalue())

    def test_missing_extra(self) -> None:
        """Without the packages that it needs it exits with 1."""
        self.patch(terminal, "tools_missing", lambda command: True)
        self.assertEqual(self.run_demo(AssertionError("was started")), 1)


class TextTests(SynchronousTestCase):
    """What the demo prints."""

    def test_introduction(self) -> None:
        """It names every address, and how to follow a job."""
        text = demo.introduction(LocalMonitor(Path("folder"), 81, 82, 83), 1, 9)
        for part in (
            "ws://127.0.0.1:81/",
            "simulate --zmq tcp://127.0.0.1:82\n",
            "http://127.0.0.1:83/",
            "folder/monitor.log",
            "watch demo-1 --url ws://127.0.0.1:81/\n",
            "http://127.0.0.1:81/watch/demo-1?tasks=10\n",
            "http://127.0.0.1:81/board#demo-1..9\n",
        ):
            self.assertIn(part, text)
