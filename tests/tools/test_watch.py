"""Tests of following a job in the terminal, without a network."""

import argparse
import io
import sys
from collections.abc import Callable
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosedError

from recodex_monitor.tools import watch
from recodex_monitor.tools.progress import Progress

_NORMAL = ["DOWNLOADED", "STARTED", "ENDED", "UPLOADED", "FINISHED"]
_FAILED = ["DOWNLOADED", "FAILED", "FINISHED"]


def _following(
    commands: list[str], error: BaseException | None = None
) -> Callable[[str, str, Progress, watch.Show], None]:
    """Make a stand-in for `watch.follow` that gets these commands and then this error."""

    def follow(_url: str, _channel: str, progress: Progress, show: watch.Show) -> None:
        for command in commands:
            progress.feed({"command": command})
            show(progress, {"command": command})
        if error is not None:
            raise error

    return follow


class RunTests(SynchronousTestCase):
    """The exit code tells how the job went."""

    def setUp(self) -> None:
        """Catch what the command prints."""
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.stdout)
        self.patch(sys, "stderr", self.stderr)

    def watch(self, commands: list[str], error: BaseException | None = None) -> int:
        """Run the command on a channel named `id` and an escape character."""
        parser = argparse.ArgumentParser()
        watch.add_arguments(parser)
        self.patch(watch, "follow", _following(commands, error))
        return watch.run(parser.parse_args(["id\x1b"]))

    def test_finished(self) -> None:
        """A finished job is 0, and every message is a line."""
        self.assertEqual(self.watch(_NORMAL), 0)
        end = "finished: 0 completed, 0 failed, 0 skipped"
        expected = ["following id\\x1b", *_NORMAL, end]
        self.assertEqual(self.stdout.getvalue().splitlines(), expected)
        self.assertEqual(self.stderr.getvalue(), "")

    def test_failed(self) -> None:
        """A failed job is 1, and the last line says so."""
        self.assertEqual(self.watch(_FAILED), 1)
        self.assertRegex(self.stdout.getvalue(), "\nfailed: [^\n]*\n$")

    def test_no_end(self) -> None:
        """A connection that ends before the job is 2, with one plain line."""
        self.assertEqual(self.watch(_NORMAL[:2], ConnectionClosedError(None, None)), 2)
        self.assertRegex(
            self.stderr.getvalue(), "^recodex-monitor watch: the connection ended before[^\n]*\n$"
        )

    def test_no_connection(self) -> None:
        """No connection, a bad address or another server is 2, with one plain line."""
        for error in (OSError("refused\x1b"), ValueError("bad port"), TimeoutError("late")):
            self.stderr.truncate(0)
            self.stderr.seek(0)
            self.assertEqual(self.watch([], error), 2)
            self.assertRegex(
                self.stderr.getvalue(), "^recodex-monitor watch: cannot follow[^\n\x1b]*\n$"
            )

    def test_interrupted(self) -> None:
        """Ctrl-C is 130, without a word on standard error."""
        self.assertEqual(self.watch(_NORMAL[:1], KeyboardInterrupt()), 130)
        self.assertEqual(self.stderr.getvalue(), "")

    def test_reader_gone(self) -> None:
        """That nobody reads the output is not blamed on the monitor."""
        self.assertEqual(self.watch(_NORMAL[:1], BrokenPipeError()), 2)
        self.assertIn("nobody reads", self.stderr.getvalue())

    def test_missing_extra(self) -> None:
        """Without what it needs it says what to install, and nothing else."""
        for name in ("rich", "websockets"):
            self.stderr.truncate(0)
            self.stderr.seek(0)
            with mock.patch.dict(sys.modules, {name: None}):
                self.assertEqual(self.watch(_NORMAL), 1)
            self.assertEqual(
                self.stderr.getvalue(),
                "recodex-monitor watch needs: pip install 'recodex-monitor[tools]'\n",
            )
        self.assertEqual(self.stdout.getvalue(), "")


class FollowTests(SynchronousTestCase):
    """What cannot be sent is not tried."""

    def test_channel_not_utf8(self) -> None:
        """An id that is not UTF-8 is refused before any connection."""
        with self.assertRaisesRegex(ValueError, "not UTF-8"):
            watch.follow("ws://127.0.0.1:1/", "a\udcff", Progress(), lambda *_: None)


class MessageTests(SynchronousTestCase):
    """Messages are read and told, whatever they are."""

    def test_decode(self) -> None:
        """An object is taken as it is."""
        self.assertEqual(watch.decode('{"command": "ENDED"}'), {"command": "ENDED"})

    def test_not_a_message(self) -> None:
        """Anything else than an object in a text message is refused."""
        for text in (b"{}", "", "x", "[]", "null", "1", "[" * 100_000):
            self.assertRaises(ValueError, watch.decode, text)

    def test_task(self) -> None:
        """A task's line has its id, its state and the counts so far."""
        message = {"command": "TASK", "task_id": "run", "task_state": "FAILED"}
        progress = Progress()
        progress.feed(message)
        self.assertEqual(
            watch.describe(message, progress), "TASK run FAILED (0 completed, 1 failed, 0 skipped)"
        )

    @given(st.text(), st.text(), st.text() | st.none() | st.lists(st.integers()))
    def test_one_printable_line(self, command: str, task_id: str, task_state: object) -> None:
        """Any message is one line without control characters."""
        message = {"command": command, "task_id": task_id, "task_state": task_state}
        self.assertTrue(watch.describe(message, Progress()).isprintable())


class BarTests(SynchronousTestCase):
    """The live line of a job."""

    def shown(self, commands: list[str], note: str = "", tasks: int | None = 2) -> str:
        """Draw the line of a job after these commands."""
        bars = watch.make_bars()
        bar = watch.add_bar(bars, "[b]name", tasks)
        progress = Progress()
        for command in commands:
            progress.feed({"command": command, "task_state": "COMPLETED"})
            watch.update_bar(bars, bar, progress, note)
        self.finished = bars.finished
        console = Console(file=io.StringIO(), width=120)
        with console.capture() as captured:
            console.print(bars.get_renderable())
        return captured.get()

    def test_running(self) -> None:
        """The counts, the state and the note are shown."""
        line = self.shown(["STARTED", "TASK"], "test_01.run")
        for part in ("1 completed, 0 failed", "running", "test_01.run"):
            self.assertIn(part, line)
        self.assertFalse(self.finished)

    def test_outside_text(self) -> None:
        """Names and notes are neither markup nor commands to the terminal."""
        line = self.shown(["STARTED"], "[red]x[/nope]\x1b[2J\n")
        self.assertIn("[b]name", line)
        self.assertIn(r"[red]x[/nope]\x1b[2J\n", line)

    def test_finished(self) -> None:
        """A finished job's bar is full, however many tasks were expected."""
        for tasks in (None, 1, 5):
            self.assertIn("finished", self.shown(["STARTED", "TASK", "FINISHED"], tasks=tasks))
            self.assertTrue(self.finished)

    def test_failed(self) -> None:
        """A failed job's bar does not become full."""
        self.assertIn("failed ", self.shown(["STARTED", "TASK", "FAILED", "FINISHED"]))
        self.assertFalse(self.finished)
