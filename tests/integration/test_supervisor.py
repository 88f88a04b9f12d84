"""The shipped supervisor sample, under a real supervisord."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration.support import ROOT, Monitor

SAMPLE = ROOT / "install" / "supervisor.conf"


class SupervisorTests(SynchronousTestCase):
    """supervisord starts and stops the monitor, and gives up one that cannot start."""

    def setUp(self) -> None:
        """A monitor's configuration in a folder of its own."""
        if shutil.which("supervisord") is None:
            raise SkipTest("supervisord is not installed")
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.folder = folder.absolute()
        self.monitor = Monitor(str(self.folder))

    def program(self) -> str:
        """The sample with the paths of this test, and as whoever runs it."""
        text = SAMPLE.read_text().replace("/usr/share/recodex-monitor/monitor.tac", "{tac}")
        text = text.replace("{tac}", str(ROOT / "monitor.tac"))
        text = text.replace("/etc/recodex/monitor/config.yml", str(self.monitor.config))
        text = text.replace("/var/log/supervisor", str(self.folder))
        return re.sub(r"user=.*\n", f"directory={self.folder}\n", text)

    @contextmanager
    def supervisord(self) -> Iterator["subprocess.Popen[bytes]"]:
        """A supervisord that runs the sample meanwhile, in the foreground."""
        config = self.folder / "supervisord.conf"
        config.write_text(
            f"[supervisord]\nnodaemon=true\nlogfile={self.folder}/supervisord.log\n"
            f"pidfile={self.folder}/supervisord.pid\nloglevel=info\n" + self.program()
        )
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = ["supervisord", "-c", str(config)]
        process = subprocess.Popen(
            command, env={**os.environ, "PATH": path}, stdout=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)

    def wait_for(self, text: str) -> str:
        """Wait until supervisord logs a text; returns its log."""
        log = self.folder / "supervisord.log"
        deadline = time.monotonic() + 30
        while True:
            logged = log.read_text() if log.exists() else ""
            if text in logged or time.monotonic() > deadline:
                self.assertIn(text, logged)
                return logged
            time.sleep(0.05)

    def test_start_and_stop(self) -> None:
        """The monitor runs, listens, and is stopped by SIGTERM within its time."""
        with self.supervisord():
            self.wait_for("entered RUNNING state")
            socket.create_connection(self.monitor.address, 5).close()
        self.assertIn("stopped: recodex-monitor (", self.wait_for("stopped: recodex-monitor"))
        self.assertIn("stopped", self.monitor.logged())

    def test_port_taken(self) -> None:
        """A monitor whose port is taken ends as FATAL after the retries."""
        with socket.create_server(self.monitor.address), self.supervisord():
            self.wait_for("entered FATAL state")
        self.assertIn("Address already in use", self.monitor.logged())
