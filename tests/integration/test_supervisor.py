"""The shipped supervisor sample, under a real supervisord."""

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration.support import PATIENCE, ROOT, Monitor

SAMPLE = ROOT / "install" / "supervisor.conf"


class SupervisorTests(SynchronousTestCase):
    """Supervisord starts and stops the monitor, and gives up if it cannot start."""

    def setUp(self) -> None:
        """Make a monitor's configuration in a new folder."""
        if shutil.which("supervisord") is None:
            raise SkipTest("supervisord is not installed")
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        self.folder = folder.absolute()
        self.monitor = Monitor(str(self.folder))

    def program(self, startsecs: int) -> str:
        """The sample with the paths of this test, and run by the current user."""
        installed = Path(sys.executable).with_name("recodex-monitor")
        text = SAMPLE.read_text().replace("/usr/bin/recodex-monitor", str(installed))
        text = text.replace("/etc/recodex/monitor/config.yml", str(self.monitor.config))
        text = text.replace("/var/log/supervisor", str(self.folder))
        text = text.replace("startsecs=10\n", f"startsecs={startsecs}\n")
        return re.sub(r"user=.*\n", f"directory={self.folder}\n", text)

    @contextmanager
    def supervisord(self, startsecs: int = 10) -> Iterator["subprocess.Popen[bytes]"]:
        """A supervisord that runs the sample during the block, in the foreground.

        Args:
            startsecs: seconds after which the monitor counts as started, 10 in the sample.
        """
        config = self.folder / "supervisord.conf"
        config.write_text(
            f"[supervisord]\nnodaemon=true\nlogfile={self.folder}/supervisord.log\n"
            f"pidfile={self.folder}/supervisord.pid\nloglevel=info\n" + self.program(startsecs)
        )
        command = ["supervisord", "-c", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)

    def logged(self) -> str:
        """What supervisord has logged."""
        log = self.folder / "supervisord.log"
        return log.read_text() if log.exists() else ""

    def wait_for(self, text: str, log: Callable[[], str] | None = None) -> str:
        """Wait until a log has a text; returns the log, supervisord's unless another is given."""
        log = log or self.logged
        deadline = time.monotonic() + 90
        while text not in log() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertIn(text, log())
        return log()

    def test_start_and_stop(self) -> None:
        """The monitor runs, listens, and stops within the time that supervisord allows."""
        with self.supervisord(startsecs=1):
            self.wait_for("entered RUNNING state")
            self.wait_for("listens on", self.monitor.logged)
            socket.create_connection(self.monitor.address, 5).close()
        self.assertIn("stopped: recodex-monitor (", self.wait_for("stopped: recodex-monitor"))
        self.monitor.require_logged("stopped")

    def test_port_taken(self) -> None:
        """A monitor whose port is taken is FATAL after the retries."""
        with socket.create_server(self.monitor.address), self.supervisord():
            self.wait_for("entered FATAL state")
        self.monitor.require_logged("Address already in use")
