"""Starting, stopping and failing to start, as an administrator sees it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import websockets
import yaml
from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import connect

from recodex_monitor import __version__
from tests.integration.browser import until
from tests.integration.support import (
    COMMAND,
    PATIENCE,
    WAYS,
    Monitor,
    connected_broker,
    running_monitor,
)
from tests.support.frames import HANDSHAKE, TEXT, frame


@contextmanager
def made_monitor(way: str = "command") -> Iterator[Monitor]:
    """A monitor that is configured but not running."""
    with tempfile.TemporaryDirectory() as folder:
        yield Monitor(folder, way)


@contextmanager
def full_pipe() -> Iterator[int]:
    """The end of a pipe that takes nothing, since nobody reads the other."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


def outcome(monitor: Monitor) -> tuple[int, str]:
    """Run it until it ends by itself; returns its exit code and standard error."""
    process = monitor.launch()
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    return process.returncode, errors


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


class StartTests(SynchronousTestCase):
    """However it is run, a monitor that cannot start says why."""

    def assert_fails_alike(self, monitor: Monitor, way: str, text: str) -> None:
        """It exits with 1, and standard error has this text and no traceback."""
        code, errors = outcome(monitor)
        self.assertEqual(code, 1, f"{way}: {errors}")
        self.assertIn(text, errors)
        self.assertNotIn("Traceback", errors, way)

    def test_wrong_configuration(self) -> None:
        """Every mistake is named with its line."""
        for way in WAYS:
            with made_monitor(way) as monitor:
                monitor.config.write_text("zeromq_uri: 7\nloger: {}\n")
                text = f"{monitor.config}:2: loger: is not a key; did you mean logger?"
                self.assert_fails_alike(monitor, way, text)

    def test_ports_taken(self) -> None:
        """A port that is taken is named, whether it is for browsers or for the broker."""
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
                    monitor.require_logged(text)

    def test_unwritable_log(self) -> None:
        """A log that cannot be written is named, with its setting."""
        for way in WAYS:
            with made_monitor(way) as monitor:
                missing = str(monitor.folder / "missing" / "monitor.log")
                monitor.configure(logger={"file": missing})
                self.assert_fails_alike(monitor, way, f"logger.file: cannot write {missing}")

    def test_no_reader(self) -> None:
        """Where nobody reads standard error, it ends with 1 all the same."""
        for way in WAYS:
            for text in ("loger: {}\n", "websocket_uri: [192.0.2.1, 1]\n"):
                with made_monitor(way) as monitor, full_pipe() as stderr:
                    monitor.config.write_text(text)
                    process = monitor.launch(stderr)
                    self.assertEqual(process.wait(PATIENCE), 1)

    def test_few_descriptors(self) -> None:
        """If too few files can be opened, standard error says so, whatever fails first."""
        for way in WAYS:
            with made_monitor(way) as monitor:
                for limit in (12, 30):
                    monitor.before = ("sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh")
                    process = monitor.launch()
                    _, errors = process.communicate(timeout=PATIENCE)
                    self.assertEqual(process.returncode, 1, errors)
                    self.assertIn("cannot start: only ", errors)
                    self.assertIn(f"the limit is {limit}", errors)
                    self.assertNotIn("Traceback", errors)

    def test_pidfile(self) -> None:
        """Where twistd cannot write its pidfile, standard error names it."""
        for way in ("twistd", "tac"):
            with made_monitor(way) as monitor:
                missing = f"{monitor.folder}/missing/pid"
                monitor.pidfile = f"--pidfile={missing}"
                process = monitor.launch()
                _, errors = process.communicate(timeout=PATIENCE)
                self.assertEqual(process.returncode, 1)
                self.assertIn(f"cannot use {missing}: No such file or directory", errors)
                self.assertNotIn("Traceback", errors)

    def test_other_addresses(self) -> None:
        """It listens on host names, IPv6, all addresses, and ports that the system picks."""
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
        """However it is run, it logs to the configured file in the original's format."""
        for way in WAYS:
            with running_monitor(way) as monitor:
                monitor.stop()
                for line in monitor.logged().splitlines():
                    pattern = (
                        r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] \[recodex-monitor\] \[[A-Z]+\] "
                    )
                    self.assertRegex(line, pattern, way)

    def test_what_an_administrator_can_use(self) -> None:
        """However it is run, the log says at level info what the monitor does, not its parts."""
        for way in WAYS:
            with running_monitor(way) as monitor:
                monitor.stop()
                told = [
                    line.split("[INFO] ")[1]
                    for line in monitor.logged().splitlines()
                    if "[INFO]" in line
                ]
                self.assertEqual(told[1:], ["stopping", "stopped"], way)
                self.assertRegex(told[0], r"^version \S+ listens on ", way)


class SignalTests(SynchronousTestCase):
    """Signals."""

    def test_exit_codes(self) -> None:
        """After SIGTERM and SIGINT the exit code is 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with running_monitor() as monitor:
                self.assertEqual(monitor.stop(number), 0)

    def test_hangup_reopens_the_log(self) -> None:
        """After SIGHUP the log continues in a new file, as logrotate expects."""
        for way in WAYS:
            with running_monitor(way) as monitor:
                moved = monitor.log.rename(monitor.folder / "monitor.log.1")
                self.hang_up(monitor, "no setting has changed")
                self.assertIn("listens on", moved.read_text())
                self.assertNotIn("listens on", monitor.logged())

    def test_hangup_reads_the_settings_again(self) -> None:
        """SIGHUP applies the changed settings, logs them, and keeps all connections."""

        async def check(monitor: Monitor) -> None:
            async with websockets.connect(monitor.url, proxy=None) as client:
                await client.send("job")
                settings = yaml.safe_load(monitor.config.read_text())
                settings |= {"limits": {"max_connections": 1}, "status_uri": ["127.0.0.1", 0]}
                settings["logger"]["level"] = "debug"
                monitor.configure(**settings)
                text = "status_uri stays not set until a restart"
                await asyncio.to_thread(self.hang_up, monitor, text)
                monitor.require_logged("limits.max_connections changed from 16384 to 1")
                monitor.require_logged("logger.level changed from info to debug")
                with self.assertRaises(websockets.InvalidStatus) as refused:
                    await websockets.connect(monitor.url, proxy=None)
                self.assertEqual(refused.exception.response.status_code, 503)
                with connected_broker(monitor) as broker:
                    broker.send(b"job", b"STARTED")
                    self.assertEqual(await client.recv(), '{"command": "STARTED"}')
                monitor.require_logged('\'job\': {"command": "STARTED"}')

        for way in WAYS:
            with running_monitor(way) as monitor:
                asyncio.run(check(monitor))

    def test_hangup_with_a_mistake(self) -> None:
        """With a mistake in the file, or a log that cannot be written, nothing changes."""
        with running_monitor() as monitor:
            monitor.config.write_text("channels: {retention: 1}\nlimits: {max_connection: 1}\n")
            old = "keeping the old settings: "
            self.hang_up(monitor, f"{old}{monitor.config}:2: limits.max_connection: is not a key")
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

    def test_stop_sends_clients_away(self) -> None:
        """When it stops, a client gets all that the broker had sent, and then 1012."""

        async def check(monitor: Monitor) -> None:
            async with websockets.connect(monitor.url, proxy=None) as client:
                await client.send("job")
                with connected_broker(monitor) as broker:
                    broker.send(b"job", b"DOWNLOADED")
                    self.assertEqual(await client.recv(), '{"command": "DOWNLOADED"}')
                    monitor.process.send_signal(signal.SIGSTOP)
                    broker.send_all([(b"job", b"STARTED")] * 500)
                # Now the messages are in the socket of the suspended process.
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
            monitor.process.communicate(timeout=PATIENCE)
            self.assertEqual(monitor.process.returncode, 0)

    def test_second_signal_ends_at_once(self) -> None:
        """A client that does not read its data delays the stop only until the second signal."""
        with (
            running_monitor() as monitor,
            socket.create_connection(monitor.address) as deaf,
            connect(monitor.url, proxy=None) as other,
        ):
            deaf.sendall(HANDSHAKE + frame(TEXT, b"job"))
            with connected_broker(monitor) as broker:
                broker.send_all([(b"job", b"TASK", b"x" * 100_000, b"COMPLETED")] * 200)
            # Now the monitor has received all of it.
            monitor.process.send_signal(signal.SIGTERM)
            with self.assertRaises(websockets.ConnectionClosed):
                other.recv(timeout=PATIENCE)
            self.assertIsNone(monitor.process.poll())
            self.assertEqual(monitor.stop(signal.SIGTERM), -signal.SIGTERM)


class CommandTests(SynchronousTestCase):
    """The command as a process."""

    def test_version(self) -> None:
        """The version is printed, with exit code 0."""
        self.assertEqual(run("--version").stdout, f"recodex-monitor {__version__}\n")

    def test_listed_by_twistd(self) -> None:
        """``twistd --help`` lists the monitor."""
        command = [WAYS["twistd"][0], "--help"]
        helped = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        self.assertIn("recodex-monitor", helped.stdout)

    def test_shipped_configuration(self) -> None:
        """The configuration that packages install has no mistakes once its folders exist."""
        shipped = (Path(__file__).parents[2] / "install" / "config.yml").read_text()
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        config = folder / "config.yml"
        for there in ("/var/lib/recodex-monitor", "/var/log/recodex"):
            self.assertIn(there, shipped)
            shipped = shipped.replace(there, str(folder))
        config.write_text(shipped)
        self.assertEqual(run("check", "-c", str(config)).stderr, "")
