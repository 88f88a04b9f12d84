"""Starting, stopping and failing, as an administrator sees it."""

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import websockets
import yaml
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import __version__
from tests.integration.browser import until
from tests.integration.support import COMMAND, WAYS, Monitor, connected_broker, running_monitor
from tests.support.clients import HANDSHAKE, TEXT, frame


@contextmanager
def made_monitor(way: str = "command") -> Iterator[Monitor]:
    """A monitor that is configured and not running."""
    with tempfile.TemporaryDirectory() as folder:
        yield Monitor(folder, way)


def outcome(monitor: Monitor) -> tuple[int, str]:
    """Run it until it ends by itself; returns its exit code and standard error."""
    process = monitor.launch()
    try:
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    return process.returncode, errors


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=20, check=False
    )


class StartTests(SynchronousTestCase):
    """What keeps a monitor from starting is said in plain words, whatever the way to run it."""

    def assert_fails_alike(self, monitor: Monitor, way: str, text: str) -> None:
        """It ends with 1, says the text, and shows no traceback."""
        code, errors = outcome(monitor)
        self.assertEqual(code, 1, f"{way}: {errors}")
        self.assertIn(text, errors)
        self.assertNotIn("Traceback", errors, way)

    def test_wrong_configuration(self) -> None:
        """Every mistake is named with its line, before any port opens."""
        for way in WAYS:
            with made_monitor(way) as monitor:
                monitor.config.write_text("zeromq_uri: 7\nloger: {}\n")
                text = f"{monitor.config}:2: loger: is not known, did you mean logger?"
                self.assert_fails_alike(monitor, way, text)

    def test_ports_taken(self) -> None:
        """A port that is taken is named, on either side."""
        for way in WAYS:
            for key, side in (("websocket_uri", "browsers"), ("zeromq_uri", "the broker")):
                with made_monitor(way) as monitor, socket.socket() as taken:
                    taken.bind(("127.0.0.1", 0))
                    taken.listen()
                    port = taken.getsockname()[1]
                    free = {"websocket_uri": ["127.0.0.1", 0], "zeromq_uri": ["127.0.0.1", 0]}
                    logger = {"file": str(monitor.log)}
                    monitor.configure(**{**free, key: ["127.0.0.1", port], "logger": logger})
                    text = f"cannot listen for {side} on 127.0.0.1:{port}: Address already in use"
                    self.assert_fails_alike(monitor, way, text)
                    self.assertIn(text, monitor.logged())

    def test_unwritable_log(self) -> None:
        """A log that cannot be written is named, with its key."""
        for way in WAYS:
            with made_monitor(way) as monitor:
                missing = str(monitor.folder / "missing" / "monitor.log")
                monitor.configure(logger={"file": missing})
                self.assert_fails_alike(monitor, way, f"logger.file: cannot write {missing}")

    def test_other_addresses(self) -> None:
        """Names, IPv6, all addresses, and ports that the system picks are listened on."""
        for host in ("localhost", "::1", "*"):
            with made_monitor() as monitor:
                monitor.configure(
                    websocket_uri=[host, 0],
                    zeromq_uri=[host, "0"],
                    logger={"file": str(monitor.log)},
                )
                monitor.start()
                try:
                    (line,) = (one for one in monitor.logged().splitlines() if "listens on" in one)
                    port = int(line.split(" for browsers")[0].rpartition(":")[2])
                    address = "::1" if host == "::1" else "127.0.0.1"
                    socket.create_connection((address, port), 5).close()
                finally:
                    self.assertEqual(monitor.stop(), 0)

    def test_same_log_in_all_ways(self) -> None:
        """All ways log to the configured file, in the original's format."""
        for way in WAYS:
            with running_monitor(way) as monitor:
                monitor.stop()
                for line in monitor.logged().splitlines():
                    pattern = (
                        r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] \[recodex-monitor\] \[[A-Z]+\] "
                    )
                    self.assertRegex(line, pattern, way)


class SignalTests(SynchronousTestCase):
    """What signals do."""

    def test_exit_codes(self) -> None:
        """SIGTERM and SIGINT end it with 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with running_monitor() as monitor:
                self.assertEqual(monitor.stop(number), 0)

    def test_hangup_reopens_the_log(self) -> None:
        """After SIGHUP the log goes on in a new file where logrotate has moved the old one."""
        for way in WAYS:
            with running_monitor(way) as monitor:
                moved = monitor.log.rename(monitor.folder / "monitor.log.1")
                monitor.process.send_signal(signal.SIGHUP)
                deadline = time.monotonic() + 10
                while "follows 'job'" not in monitor.logged() and time.monotonic() < deadline:
                    asyncio.run(self.follow_briefly(monitor.url))
                self.assertIn("follows 'job'", monitor.logged())
                self.assertIn("listens on", moved.read_text())

    def test_hangup_reads_the_settings_again(self) -> None:
        """SIGHUP puts what has changed in force, tells it, and keeps who is connected."""

        async def check(monitor: Monitor) -> None:
            async with websockets.connect(monitor.url, proxy=None) as client:
                await client.send("job")
                settings = yaml.safe_load(monitor.config.read_text())
                settings |= {"limits": {"max_connections": 1}, "status_uri": ["127.0.0.1", 0]}
                settings["logger"]["level"] = "debug"
                monitor.configure(**settings)
                text = "status_uri stays not set until a restart"
                await asyncio.to_thread(self.hang_up, monitor, text)
                self.assertIn("limits.max_connections is 1 now, it was 16384", monitor.logged())
                self.assertIn("logger.level is debug now, it was info", monitor.logged())
                with self.assertRaises(websockets.InvalidStatus) as refused:
                    await websockets.connect(monitor.url, proxy=None)
                self.assertEqual(refused.exception.response.status_code, 503)
                with connected_broker(monitor) as broker:
                    broker.send(b"job", b"STARTED")
                    self.assertEqual(await client.recv(), '{"command": "STARTED"}')
                self.assertIn('\'job\': {"command": "STARTED"}', monitor.logged())

        for way in WAYS:
            with running_monitor(way) as monitor:
                asyncio.run(check(monitor))

    def test_hangup_with_a_mistake(self) -> None:
        """Where the file has a mistake, or names a log that cannot be, nothing changes."""
        with running_monitor() as monitor:
            monitor.config.write_text("channels: {retention: 1}\nlimits: {max_connection: 1}\n")
            old = "goes on with the old settings: "
            self.hang_up(monitor, f"{old}{monitor.config}:2: limits.max_connection: is not known")
            missing = str(monitor.folder / "missing" / "log")
            monitor.configure(channels={"retention": 1}, logger={"file": missing})
            self.hang_up(monitor, f"{old}logger.file: cannot write {missing}: No such file")
            monitor.config.unlink()
            self.hang_up(monitor, f"{old}{monitor.config}: cannot be read: No such file")
            self.assertNotIn("retention", monitor.logged())

    @staticmethod
    def hang_up(monitor: Monitor, text: str) -> None:
        """Send SIGHUP and wait until the log has a text."""
        monitor.process.send_signal(signal.SIGHUP)
        until(lambda: text in monitor.logged())

    @staticmethod
    async def follow_briefly(url: str) -> None:
        """Make the monitor log something."""
        async with websockets.connect(url, proxy=None) as client:
            await client.send("job")
            await asyncio.sleep(0.05)

    def test_stop_sends_clients_away(self) -> None:
        """When it stops, a client gets what the broker had sent, and 1012."""

        async def check(monitor: Monitor) -> None:
            async with websockets.connect(monitor.url, proxy=None) as client:
                await client.send("job")
                with connected_broker(monitor) as broker:
                    broker.send(b"job", b"DOWNLOADED")
                    self.assertEqual(await client.recv(), '{"command": "DOWNLOADED"}')
                    monitor.process.send_signal(signal.SIGSTOP)
                    broker.send_all([(b"job", b"STARTED")] * 500)
                    await asyncio.sleep(0.3)  # the messages reach the stopped process's socket
                    monitor.process.send_signal(signal.SIGTERM)
                    monitor.process.send_signal(signal.SIGCONT)
                    for _ in range(500):
                        self.assertEqual(await client.recv(), '{"command": "STARTED"}')
                    with self.assertRaises(websockets.ConnectionClosed) as raised:
                        await client.recv()
                    assert raised.exception.rcvd is not None
                    self.assertEqual(raised.exception.rcvd.code, 1012)

        with running_monitor() as monitor:
            asyncio.run(check(monitor))
            monitor.process.communicate(timeout=15)
            self.assertEqual(monitor.process.returncode, 0)

    def test_second_signal_ends_at_once(self) -> None:
        """A client that does not take what is due holds a stop up only until the second signal."""
        with (
            running_monitor() as monitor,
            socket.create_connection(monitor.address) as deaf,
            connected_broker(monitor) as broker,
        ):
            deaf.sendall(HANDSHAKE + frame(TEXT, b"job"))
            broker.send_all([(b"job", b"TASK", b"x" * 100_000, b"COMPLETED")] * 200)
            time.sleep(0.5)
            monitor.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            self.assertIsNone(monitor.process.poll())
            self.assertEqual(monitor.stop(signal.SIGTERM), -signal.SIGTERM)


class CommandTests(SynchronousTestCase):
    """The command's other forms."""

    def test_version_and_help(self) -> None:
        """The version and the help are printed, with exit code 0."""
        self.assertEqual(run("--version").stdout, f"recodex-monitor {__version__}\n")
        helped = run("--help")
        self.assertEqual(helped.returncode, 0)
        for command in ("check", "simulate", "watch", "demo"):
            self.assertIn(command, helped.stdout)

    def test_check(self) -> None:
        """The effective settings are printed, and can be read again; mistakes end with 1."""
        config = Path(self.mktemp())
        config.write_text("websocket_uri: [localhost, '80']\n")
        checked = run("check", "-c", str(config))
        self.assertEqual(checked.returncode, 0)
        self.assertIn("- localhost\n- 80\n", checked.stdout)
        again = Path(self.mktemp())
        again.write_text(checked.stdout)
        self.assertEqual(run("-c", str(again), "check").stdout, checked.stdout)
        config.write_text("websocket_uri: [localhost, 80000]\nlogger: {level: loud}\n")
        checked = run("check", "-c", str(config))
        self.assertEqual(checked.returncode, 1)
        self.assertEqual(len(checked.stderr.splitlines()), 2)

    def test_listed_by_twistd(self) -> None:
        """``twistd --help`` lists the monitor."""
        command = [WAYS["twistd"][0], "--help"]
        helped = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        self.assertIn("recodex-monitor", helped.stdout)

    def test_shipped_configuration(self) -> None:
        """The configuration of installed systems has no mistakes, where its folder is there."""
        shipped = (Path(__file__).parents[2] / "install" / "config.yml").read_text()
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        config = folder / "config.yml"
        config.write_text(shipped.replace("/var/lib/recodex-monitor", str(folder)))
        self.assertIn(str(folder), config.read_text())
        self.assertEqual(run("check", "-c", str(config)).stderr, "")
