"""The first moments of a monitor: signals, what systemd passes, and the addresses it takes."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration.browser import until
from tests.integration.support import COMMAND, PATIENCE, ROOT, WAYS, Monitor


class SignalTests(SynchronousTestCase):
    """Signals that come before the monitor runs."""

    def play(self, way: str, number: int, expected: str) -> int:
        """Send a signal during the start, then SIGTERM once the log has a text; the exit code."""
        with tempfile.TemporaryDirectory() as folder:
            monitor = Monitor(folder, way)
            monitor.process = monitor.launch()
            self.addCleanup(monitor.stop)
            state = Path(f"/proc/{monitor.process.pid}/status")
            until(lambda: "SigBlk:\t0000000000004003" in state.read_text())
            monitor.process.send_signal(number)
            until(lambda: expected in monitor.logged())
            if number == signal.SIGHUP:
                return monitor.stop()
            monitor.process.communicate(timeout=PATIENCE)
            return monitor.process.returncode

    def test_held(self) -> None:
        """A signal of the first moments is held: a reload comes later, a stop is a proper one."""
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            expected = "no setting has changed" if number == signal.SIGHUP else "stopping"
            self.assertEqual(self.play("command", number, expected), 0)
            for way in ("tac", "twistd"):
                # twistd ends by the signal itself.
                self.assertIn(self.play(way, number, expected), {0, -signal.SIGTERM, -number})


class EnvironmentTests(SynchronousTestCase):
    """What systemd passes."""

    def test_wrong(self) -> None:
        """Each way of starting names what is wrong with it, and not the log."""
        for way in WAYS:
            for variable, expected in (
                ("LISTEN_FDS=1", "LISTEN_FDS is 1, but descriptor 3 "),
                ("LISTEN_FDS=many", "LISTEN_FDS is 'many', not a number"),
            ):
                with tempfile.TemporaryDirectory() as folder:
                    monitor = Monitor(folder, way)
                    command = [one.replace("{config}", str(monitor.config)) for one in WAYS[way]]
                    pid = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", "env", variable, *command]
                    ended = subprocess.run(
                        pid,
                        capture_output=True,
                        text=True,
                        timeout=PATIENCE,
                        env={**os.environ, "RECODEX_MONITOR_CONFIG": str(monitor.config)},
                        check=False,
                    )
                    self.assertEqual(ended.returncode, 1)
                    self.assertIn("cannot start: ", ended.stderr)
                    self.assertIn(expected, ended.stderr)
                    self.assertNotIn("logger.file", ended.stderr)


class CheckTests(SynchronousTestCase):
    """The command ``check`` as another user, and the start with the same settings."""

    def test_user(self) -> None:
        """Files are looked at as the user that the monitor will run as."""
        if os.geteuid():
            raise SkipTest("needs root to become another user")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            monitor = Monitor(folder, history={"file": f"{folder}/history"})
            command = [*COMMAND, "check", "-c", str(monitor.config)]
            for options, code, names in (
                ([], 0, []),
                (["--user", "nobody"], 1, ["logger.file", "history.file"]),
            ):
                ended = subprocess.run(
                    [*command, *options],
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    check=False,
                )
                self.assertEqual(ended.returncode, code, ended.stderr)
                found = [line.split(": ")[1] for line in ended.stderr.splitlines()]
                self.assertEqual(found, names)
            self.assertEqual(os.listdir(folder), ["config.yml"])

    def test_start_says_the_same(self) -> None:
        """The start names file, line and key as ``check`` does."""
        with tempfile.TemporaryDirectory() as folder:
            monitor = Monitor(folder)
            settings = {
                "websocket_uri": ["127.0.0.1", 0],
                "zeromq_uri": ["127.0.0.1", 0],
                "logger": {"file": str(monitor.log)},
            }
            for key, value, expected in (
                ("zeromq_uri", ["no-such-host.invalid", 0], "zeromq_uri: cannot find the host"),
                ("websocket_uri", ["192.0.2.1", 1], "websocket_uri: cannot listen for browsers on"),
                ("history", {"file": "/missing/file"}, "history.file: cannot write /missing"),
                ("websocket_tls", {"certificate": "/missing"}, "websocket_tls.certificate: cannot"),
                ("logger", {"file": "/missing/file"}, "logger.file: cannot write /missing/file"),
            ):
                monitor.configure(**{**settings, key: value})
                process = monitor.launch()
                _, errors = process.communicate(timeout=PATIENCE)
                self.assertEqual(process.returncode, 1)
                self.assertRegex(errors, rf"{monitor.config}:\d+: {expected}")


class WildcardTests(SynchronousTestCase):
    """All addresses."""

    def test_ipv6_only(self) -> None:
        """``*`` takes IPv4 and IPv6 for all listeners, even with net.ipv6.bindv6only=1."""
        if os.geteuid():
            raise SkipTest("needs root for a network namespace")
        setup = "ip link set lo up && echo 1 > /proc/sys/net/ipv6/bindv6only"
        command = [sys.executable, "-m", "tests.integration.wildcards"]
        ended = subprocess.run(
            ["unshare", "-n", "sh", "-c", f'{setup} && exec "$@"', "sh", *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
