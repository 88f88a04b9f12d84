"""Tests of following a job in the terminal, without a network."""

import argparse
import io
import sys
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosedError

from recodex_monitor.tools import terminal, watch
from recodex_monitor.tools.progress import Progress

_NORMAL = ["DOWNLOADED", "STARTED", "ENDED", "UPLOADED", "FINISHED"]
_FAILED = ["DOWNLOADED", "FAILED", "FINISHED"]


def _following(
    commands: list[str], error: BaseException | None = None
) -> Callable[[str, str, Progress, watch.Show], None]:
    """Make a stand-in for `watch.follow` that gets these commands and then this error."""

    def follow(
        _url: str, _channel: str, progress: Progress, show: watch.Show, token: object = None
    ) -> None:
        for command in commands:
            progress.feed({"command": command})
            show(progress, {"command": command})
        if error is not None:
            raise error

    return follow


class RunTests(SynchronousTestCase):
    """The exit code says how the job went."""

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

    def test_wrong_url(self) -> None:
        """An address of another form is wrong usage, and says which form it must have."""
        parser = argparse.ArgumentParser()
        watch.add_arguments(parser)
        for url in ("127.0.0.1:4567", "localhost:4567", "http://h:1/", "ws:///ws", "ws://h:x", ""):
            with self.assertRaises(SystemExit) as ended:
                parser.parse_args(["id", "--url", url])
            self.assertEqual(ended.exception.code, 2)
            self.assertIn(f"--url: {url!r} is not a monitor's address", self.stderr.getvalue())
        self.assertIn("write ws://HOST:PORT/ or wss://HOST/ws", self.stderr.getvalue())
        for url in ("ws://h:1", "wss://h/ws", "ws://[::1]:4567/"):
            self.assertEqual(parser.parse_args(["id", "--url", url]).url, url)

    def test_interrupted(self) -> None:
        """Ctrl-C is 130, and prints nothing to standard error."""
        self.assertEqual(self.watch(_NORMAL[:1], KeyboardInterrupt()), 130)
        self.assertEqual(self.stderr.getvalue(), "")

    def test_output_closed(self) -> None:
        """If its output is closed, the error does not blame the monitor."""
        self.assertEqual(self.watch(_NORMAL[:1], BrokenPipeError()), 2)
        self.assertIn("nobody reads", self.stderr.getvalue())

    def test_missing_extra(self) -> None:
        """Without the packages that it needs it exits with 1 before it follows anything."""
        self.patch(terminal, "tools_missing", lambda command: True)
        self.assertEqual(self.watch(_NORMAL), 1)
        self.assertEqual(self.stdout.getvalue(), "")


class FollowTests(SynchronousTestCase):
    """Following a channel."""

    def test_channel_not_utf8(self) -> None:
        """An id that is not UTF-8 is refused before any connection."""
        with self.assertRaisesRegex(ValueError, "not UTF-8"):
            watch.follow("ws://127.0.0.1:1/", "a\udcff", Progress(), lambda *_: None)


class MessageTests(SynchronousTestCase):
    """Messages are read and described, whatever they contain."""

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
