"""The sample for logrotate, with the real logrotate."""

import shutil
import signal
import subprocess
import threading
from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import until
from tests.integration.support import ROOT, Monitor, connected_broker, running_monitor

LOGROTATE = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin")
SAMPLE = ROOT / "install/logrotate.conf"
ROTATIONS = 3


def sample(monitor: Monitor) -> Path:
    """The sample, for this monitor in place of systemd's."""
    text = SAMPLE.read_text()
    for ours, theirs in (
        ("/var/log/recodex/monitor.log", str(monitor.log)),
        ("    su recodex recodex\n", ""),
        ("systemctl reload recodex-monitor.service", f"kill -HUP {monitor.process.pid}"),
        ("    delaycompress\n", ""),
        ("    compress\n", ""),
    ):
        assert ours in text, ours
        text = text.replace(ours, theirs)
    file = monitor.folder / "logrotate.conf"
    file.write_text(text)
    file.chmod(0o644)
    return file


class LogrotateTests(SynchronousTestCase):
    """Rotation from outside."""

    skip = None if LOGROTATE else "logrotate is not installed"

    def test_no_line_is_lost(self) -> None:
        """While jobs end all the time, each rotation moves the log away, and no line is lost."""
        with running_monitor() as monitor, connected_broker(monitor) as broker:
            settings = yaml.safe_load(monitor.config.read_text())
            settings["logger"]["rotations"] = 0
            monitor.configure(**settings)
            monitor.process.send_signal(signal.SIGHUP)
            monitor.require_logged("logger.rotations changed from 3 to 0")
            config, count = sample(monitor), 0
            done = threading.Event()

            def send() -> None:
                nonlocal count
                while not done.wait(0.002):
                    broker.send(b"job %d" % count, b"FINISHED")
                    count += 1

            sender = threading.Thread(target=send)
            sender.start()
            try:
                for number in range(1, ROTATIONS + 1):
                    self.rotate(monitor, config)
                    self.assertTrue(monitor.log.with_name(f"{monitor.log.name}.{number}").exists())
            finally:
                done.set()
                sender.join()
            last = f"channel 'job {count - 1}' ended"
            until(lambda: last in monitor.log.read_text())
            files = monitor.log.parent.glob(f"{monitor.log.name}*")
            said = "".join(file.read_text() for file in files)
            lost = [one for one in range(count) if f"channel 'job {one}' ended" not in said]
            self.assertEqual(lost, [])

    def rotate(self, monitor: Monitor, config: Path) -> None:
        """Let logrotate rotate, and wait until the monitor writes to a new file."""
        assert LOGROTATE is not None
        state = monitor.folder / "logrotate.state"
        command = [LOGROTATE, "--force", "--state", str(state), str(config)]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        until(lambda: monitor.log.exists() and " ended: finished" in monitor.log.read_text())
