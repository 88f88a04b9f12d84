"""Tests of the commands simulate and watch with a real monitor."""

import json
import os
import pty
import random
import signal
import subprocess
from pathlib import Path

from recodex_monitor.tools import jobs
from tests.integration.tools import MonitorTestCase

_CAPTURES = Path(__file__).parent / "captures"


class SimulateTests(MonitorTestCase):
    """The messages that it sends arrive."""

    def test_nothing_is_lost(self) -> None:
        """At full speed every message of every job arrives, in order."""
        self.start_monitor()
        channels = self.simulate(
            "--jobs", "40", "--tasks", "250", "--seed", "3", "--outcome", "normal"
        )
        self.assertEqual(len(channels), 40)
        rng = random.Random(3)
        for channel in channels:
            expected = jobs.make_job(rng, 250, "normal")
            self.assertEqual(channel, expected[0][0].decode())
            got = [json.loads(text) for text in self.texts(channel)]
            self.assertEqual(
                [[message[key] for key in sorted(message)] for message in got],
                [[frame.decode() for frame in frames[1:]] for frames in expected],
            )

    def test_capture(self) -> None:
        """Of a capture, a client receives what was recorded."""
        self.start_monitor()
        capture = _CAPTURES / "real_task_ids.jsonl"
        (channel,) = self.simulate("--capture", str(capture))
        records = [json.loads(line) for line in capture.read_text("utf-8").splitlines()]
        recorded = [
            record["text"]
            for record in records
            if record["type"] == "ws" and record["event"] == "text" and record["client"] == "early"
        ]
        self.assertGreater(len(recorded), 5)
        self.assertEqual(self.texts(channel), recorded)

    def test_waits_for_the_monitor(self) -> None:
        """Started before the monitor, it waits, and no message is lost."""
        tool = self.start("simulate", "--zmq", self.zmq, "--pace", "0", "--outcome", "normal")
        assert tool.stdout is not None
        channel = tool.stdout.readline().strip()
        self.start_monitor()
        self.assertEqual(self.result(tool)[0], 0)
        self.assertEqual(len(self.texts(channel)), 15)

    def test_no_monitor(self) -> None:
        """Without a monitor it says so in one line, and exits with 1."""
        code, _, stderr = self.run_tool("simulate", "--zmq", self.zmq, "--timeout", "0.2")
        self.assertEqual(code, 1)
        self.assertRegex(stderr, "^recodex-monitor simulate: no recodex-monitor [^\n]*\n$")

    def test_bad_endpoint(self) -> None:
        """An invalid endpoint is reported in one line, with exit code 1."""
        code, _, stderr = self.run_tool("simulate", "--zmq", "nowhere")
        self.assertEqual(code, 1)
        self.assertRegex(stderr, "^recodex-monitor simulate: [^\n]*nowhere[^\n]*\n$")


class WatchTests(MonitorTestCase):
    """A job is followed to its end."""

    def test_all_outcomes(self) -> None:
        """The exit code and the last line say how each kind of job ended."""
        self.start_monitor()
        channels = self.simulate("--tasks", "6")
        for outcome, channel in zip(jobs.OUTCOMES, channels, strict=True):
            code, stdout, stderr = self.run_tool("watch", channel, "--url", self.url)
            failed = outcome in {"build-failure", "rejected", "lost", "exhausted", "overtaken"}
            self.assertEqual((code, stderr), (int(failed), ""))
            last = stdout.splitlines()[-1]
            self.assertTrue(last.startswith("failed: " if failed else "finished: "), last)

    def test_live(self) -> None:
        """Started before the job, it shows all of it."""
        self.start_monitor()
        expected = jobs.make_job(random.Random(5), 4, "restarted")
        watch = self.start("watch", expected[0][0].decode(), "--url", self.url)
        self.simulate("--seed", "5", "--jobs", "1", "--tasks", "4", "--outcome", "restarted")
        code, stdout, _ = self.result(watch)
        self.assertEqual(code, 0)
        commands = [line.split()[0] for line in stdout.splitlines()[1:-1]]
        self.assertEqual(commands, [frames[1].decode() for frames in expected])
        self.assertIn("finished: 4 completed, 0 failed, 0 skipped, attempt 2", stdout)

    def test_terminal(self) -> None:
        """On a terminal it shows a bar, and escapes control characters in a task's id."""
        self.start_monitor()
        capture = self.folder / "evil.jsonl"
        frames = ["evil", "TASK", "\x1b]0;title\x07[/nope]", "COMPLETED"]
        lines = [{"type": "zmq", "frames": each} for each in (frames, ["evil", "FINISHED"])]
        capture.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        self.simulate("--capture", str(capture))
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        watch = self.start("watch", "evil", "--url", self.url, stdout=theirs)
        os.close(theirs)
        shown = _read_terminal(ours)
        self.assertEqual(self.result(watch)[0], 0)
        self.assertIn("━", shown)
        self.assertIn("finished: 1 completed", shown)
        self.assertNotIn("\x1b]0;", shown)

    def test_monitor_stops(self) -> None:
        """When the monitor stops before the job ends, the exit code is 2, with one line."""
        monitor = self.start_monitor()
        watch = self._watch_begun()
        monitor.terminate()
        code, _, stderr = self.result(watch)
        self.assertEqual(code, 2)
        self.assertRegex(stderr, "^recodex-monitor watch: the connection ended[^\n]*\n$")

    def test_no_monitor(self) -> None:
        """Without a monitor the exit code is 2, with one line."""
        code, _, stderr = self.run_tool("watch", "id", "--url", self.url)
        self.assertEqual(code, 2)
        self.assertRegex(stderr, "^recodex-monitor watch: cannot follow[^\n]*\n$")

    def test_interrupted(self) -> None:
        """Ctrl-C ends it with 130 and without a traceback."""
        self.start_monitor()
        watch = self._watch_begun()
        watch.send_signal(signal.SIGINT)
        code, _, stderr = self.result(watch)
        self.assertEqual((code, stderr), (130, ""))

    def _watch_begun(self) -> "subprocess.Popen[str]":
        """Follow a job that does not end, and wait for its first message."""
        capture = self.folder / "begun.jsonl"
        capture.write_text('{"type": "zmq", "frames": ["id", "STARTED"]}\n', encoding="utf-8")
        watch = self.start("watch", "id", "--url", self.url)
        self.simulate("--capture", str(capture))
        assert watch.stdout is not None
        self.assertEqual(watch.stdout.readline(), "following id\n")
        self.assertEqual(watch.stdout.readline(), "STARTED\n")
        return watch


def _read_terminal(descriptor: int) -> str:
    shown = b""
    try:
        while part := os.read(descriptor, 65536):
            shown += part
    except OSError:
        # Linux reports this when the other end of the terminal is closed.
        pass
    return shown.decode()
