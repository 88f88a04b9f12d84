"""Tests of the demo with its real monitor."""

import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path
from urllib.request import urlopen

from tests.integration.browser import until
from tests.integration.tools import TIMEOUT, ToolsTestCase


class DemoTestCase(ToolsTestCase):
    """Knows what a demo may leave behind."""

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


class DemoTests(DemoTestCase):
    """The demo shows every kind of job, and leaves nothing behind."""

    def start_demo(self, *arguments: str) -> tuple["subprocess.Popen[str]", list[str]]:
        """Start the demo; returns it and the lines that say where its monitor listens."""
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
        """Make sure that the default port for browsers is taken; it may be already."""
        try:
            server = socket.create_server(("127.0.0.1", 4567))
        except OSError:
            return 4567
        self.addCleanup(server.close)
        return 4567

    def test_signals(self) -> None:
        """SIGINT and SIGTERM end it with exit code 0 and without output."""
        for number in (signal.SIGINT, signal.SIGTERM):
            demo, _ = self.start_demo()
            self.assertEqual(len(self.monitors()), 1)
            demo.send_signal(number)
            code, _, stderr = self.result(demo)
            self.assertEqual((code, stderr), (0, ""))
            self.assert_nothing_left()

    def test_pasted(self) -> None:
        """What it prints can be pasted into another shell, and opened in a browser."""
        demo, lines = self.start_demo()
        shown = dict(line.strip().split(":", 1) for line in lines if ":" in line)
        with urlopen(shown["in a browser"].strip(), timeout=TIMEOUT) as answer:
            self.assertIn("watch.js", answer.read().decode())
        options = "--pace 0 --jobs 1 --tasks 3 --outcome normal"
        channel = self.paste(f"{shown['play more jobs']} {options}").strip()
        following = shlex.split(shown["follow a job"])
        following[following.index("watch") + 1] = channel
        self.assertIn("finished: 3 completed", self.paste(shlex.join(following)))
        demo.terminate()
        self.assertEqual(self.result(demo)[0], 0)
        self.assert_nothing_left()

    def paste(self, command: str) -> str:
        """Run a command in a shell that knows nothing of this one; returns what it prints."""
        done = subprocess.run(
            command,
            shell=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            timeout=TIMEOUT,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_monitor_dies(self) -> None:
        """If the monitor dies, it says so, prints the end of its log, and exits with 1."""
        demo, lines = self.start_demo()
        (monitor,) = self.monitors()
        (log,) = (Path(line.split()[1]) for line in lines if line.strip().startswith("log:"))
        until(
            lambda: log.exists() and "[recodex-monitor]" in log.read_text()
        )  # its writer is a thread of its own
        os.kill(monitor, signal.SIGKILL)
        code, _, stderr = self.result(demo)
        self.assertEqual(code, 1)
        self.assertTrue(stderr.startswith("recodex-monitor demo: the monitor ended with code -9\n"))
        self.assertIn("[recodex-monitor]", stderr)
        self.assertNotIn("Traceback", stderr)
        self.assert_nothing_left()
