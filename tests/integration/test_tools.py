"""Tests of the simulate, watch and demo commands against a real monitor."""

import json
import os
import pty
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import connect

import recodex_monitor
from recodex_monitor.tools import jobs
from recodex_monitor.tools.progress import Progress
from tests.integration.support import free_ports

_ROOT = Path(recodex_monitor.__file__).parent.parent
_CAPTURES = Path(__file__).parent / "captures"
_TIMEOUT = 60


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what the test waits for did not happen")
        time.sleep(0.02)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


class _ToolsTestCase(SynchronousTestCase):
    """Starts the project's commands as processes and leaves none behind."""

    def setUp(self) -> None:
        """Make a folder for the temporary files of the processes."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def start(self, *arguments: str, stdout: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        """Start a command; it is gone when the test is over."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "TMPDIR": str(self.folder),
            "TERM": "xterm",
            "COLUMNS": "120",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "recodex_monitor", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self.addCleanup(self._end, process)
        return process

    def _end(self, process: "subprocess.Popen[str]") -> None:
        if process.poll() is None:
            process.kill()
        process.communicate()

    def result(self, process: "subprocess.Popen[str]") -> tuple[int, str, str]:
        """Wait for the end of a command: its exit code, output and error output."""
        stdout, stderr = process.communicate(timeout=_TIMEOUT)
        return process.returncode, stdout, stderr

    def run_tool(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command to its end."""
        return self.result(self.start(*arguments))


class _MonitorTestCase(_ToolsTestCase):
    """Has addresses for a monitor."""

    def setUp(self) -> None:
        """Choose the monitor's addresses."""
        super().setUp()
        self.ports = free_ports(2)
        self.url = f"ws://127.0.0.1:{self.ports[0]}/"
        self.zmq = f"tcp://127.0.0.1:{self.ports[1]}"

    def start_monitor(self) -> "subprocess.Popen[str]":
        """Start a monitor and wait until it listens."""
        settings = {
            "websocket_uri": ["127.0.0.1", self.ports[0]],
            "zeromq_uri": ["127.0.0.1", self.ports[1]],
            "logger": {"file": str(self.folder / "monitor.log"), "level": "info"},
            "channels": {"failed_grace": 1},
        }
        path = self.folder / "config.yml"
        path.write_text(json.dumps(settings), encoding="utf-8")
        monitor = self.start("-c", str(path))
        _until(lambda: all(_listens(port) for port in self.ports))
        return monitor

    def simulate(self, *arguments: str) -> list[str]:
        """Play jobs at full speed; the channel ids."""
        code, stdout, stderr = self.run_tool(
            "simulate", "--zmq", self.zmq, "--pace", "0", *arguments
        )
        self.assertEqual(code, 0, stderr)
        return stdout.splitlines()

    def texts(self, channel: str) -> list[str]:
        """All that a client gets on a channel until the monitor closes it."""
        with connect(self.url, proxy=None, max_size=None) as connection:
            connection.send(channel)
            return [str(text) for text in connection]


class SimulateTests(_MonitorTestCase):
    """What is played arrives."""

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
        """A played capture gives a client what the recorded one got."""
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
        """Started before the monitor it waits for it, and loses nothing."""
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
        """An endpoint that is none is one plain line and exit code 1."""
        code, _, stderr = self.run_tool("simulate", "--zmq", "nowhere")
        self.assertEqual(code, 1)
        self.assertRegex(stderr, "^recodex-monitor simulate: [^\n]*nowhere[^\n]*\n$")


class WatchTests(_MonitorTestCase):
    """A job is followed to its end."""

    def test_all_outcomes(self) -> None:
        """The exit code and the last line tell how each kind of job ended."""
        self.start_monitor()
        channels = self.simulate("--tasks", "6")
        for outcome, channel in zip(jobs.OUTCOMES, channels, strict=True):
            code, stdout, stderr = self.run_tool("watch", channel, "--url", self.url)
            failed = outcome in {"build-failure", "rejected", "lost", "exhausted"}
            self.assertEqual((code, stderr), (int(failed), ""))
            last = stdout.splitlines()[-1]
            self.assertTrue(last.startswith("failed: " if failed else "finished: "), last)

    def test_live(self) -> None:
        """A watch that began before the job gets all of it."""
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
        """On a terminal it is a bar, and a task's id cannot command the terminal."""
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
        """Without a monitor the exit code is 2, with one plain line."""
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
        """Follow a job that goes on for ever, and wait for its first message."""
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
        # How Linux says that nobody has the other end any more.
        pass
    return shown.decode()


class DemoTests(_ToolsTestCase):
    """The demo shows everything and leaves nothing."""

    def assert_nothing_left(self) -> None:
        """No temporary file and no monitor of this test is left."""
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(self.monitors(), [])

    def monitors(self) -> list[int]:
        """The ids of the running monitors that this test's demo started."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if any(word.startswith(bytes(self.folder) + b"/") for word in words):
                found.append(int(path.parent.name))
        return found

    def start_demo(self, *arguments: str) -> tuple["subprocess.Popen[str]", list[str]]:
        """Start the demo and read until it has said where it listens."""
        demo = self.start("demo", *arguments)
        assert demo.stdout is not None
        lines = []
        while (line := demo.stdout.readline()).strip():
            lines.append(line)
        return demo, lines

    def test_to_the_end(self) -> None:
        """Every job ends as it should, and with --exit so does the demo."""
        taken = self._take_default_port()
        demo, lines = self.start_demo("--exit")
        self.assertNotIn(f":{taken}/", "".join(lines))
        code, stdout, stderr = self.result(demo)
        self.assertEqual((code, stderr), (0, ""))
        for end in (
            "normal: finished, 10 completed, 0 failed, 0 skipped",
            "restarted: finished, 10 completed, 0 failed, 0 skipped, attempt 2",
            "build-failure: failed, ",
            "rejected: failed, ",
            "All jobs have ended.\n",
        ):
            self.assertIn(end, stdout)
        self.assert_nothing_left()

    def _take_default_port(self) -> int:
        """Make sure that the port for browsers is taken, by us or by somebody else."""
        try:
            server = socket.create_server(("127.0.0.1", 4567))
        except OSError:
            return 4567
        self.addCleanup(server.close)
        return 4567

    def test_signals(self) -> None:
        """SIGINT and SIGTERM end it with 0 and without a word."""
        for number in (signal.SIGINT, signal.SIGTERM):
            demo, _ = self.start_demo()
            self.assertEqual(len(self.monitors()), 1)
            demo.send_signal(number)
            code, _, stderr = self.result(demo)
            self.assertEqual((code, stderr), (0, ""))
            self.assert_nothing_left()

    def test_addresses(self) -> None:
        """At the addresses it prints one can follow a job and play more."""
        demo, lines = self.start_demo()
        words = " ".join(lines).split()
        self.assertTrue(any("simulate" in line for line in lines))
        endpoint = next(word for word in words if word.startswith("tcp://"))
        channel, _, url = words[words.index("watch") + 1 :][:3]
        page = next(word for word in words if word.endswith(f"/watch/{channel}"))
        with urlopen(page, timeout=_TIMEOUT) as answer:
            self.assertIn("watch.js", answer.read().decode())
        code, stdout, stderr = self.run_tool(
            *("simulate", "--zmq", endpoint, "--pace", "0"),
            *("--jobs", "1", "--tasks", "3", "--seed", "1"),
        )
        self.assertEqual(code, 0, stderr)
        code, _, stderr = self.run_tool("watch", stdout.strip(), "--url", url)
        self.assertEqual((code, stderr), (0, ""))
        with connect(url, proxy=None) as connection:
            connection.send(channel)
            progress = Progress()
            progress.feed(json.loads(connection.recv(timeout=_TIMEOUT)))
        self.assertEqual(progress.state, "downloaded")
        demo.terminate()
        self.assertEqual(self.result(demo)[0], 0)
        self.assert_nothing_left()

    def test_monitor_dies(self) -> None:
        """When the monitor dies it says so with the end of its log, and exits with 1."""
        demo, _ = self.start_demo()
        (monitor,) = self.monitors()
        os.kill(monitor, signal.SIGKILL)
        code, _, stderr = self.result(demo)
        self.assertEqual(code, 1)
        self.assertTrue(stderr.startswith("recodex-monitor demo: the monitor ended with code -9\n"))
        self.assertIn("[recodex-monitor]", stderr)
        self.assertNotIn("Traceback", stderr)
        self.assert_nothing_left()
