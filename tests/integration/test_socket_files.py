"""A monitor that listens on socket files instead of ports."""

import asyncio
import shutil
import signal
import socket
import stat
import tempfile
import time
from pathlib import Path

import websockets
import yaml
from twisted.internet.protocol import ServerFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from recodex_monitor.network.addresses import bound_file
from recodex_monitor.network.listener import Listener
from recodex_monitor.settings.endpoints import SocketFile
from recodex_monitor.settings.schema import LiveSettings
from tests.integration.proxies import Nginx
from tests.integration.proxy_clients import Follower, NotOk, lines
from tests.integration.support import PATIENCE, Broker, Monitor


class SocketFileTests(SynchronousTestCase):
    """A monitor with a socket file for clients and one for the broker."""

    def setUp(self) -> None:
        """Make a monitor that is not running yet."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.monitor = Monitor(str(self.folder))
        self.browsers, self.broker = self.folder / "browsers", self.folder / "broker"
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """Stop the monitor, if it was started."""
        if hasattr(self.monitor, "process"):
            self.monitor.stop()

    def start(self, **limits: object) -> None:
        """Start the monitor on both files."""
        settings = yaml.safe_load(self.monitor.config.read_text())
        settings["websocket_uri"] = f"unix:{self.browsers}"
        settings["zeromq_uri"] = f"ipc:{self.broker}"
        self.monitor.broker = f"ipc://{self.broker}"
        self.monitor.configure(**{**settings, "limits": limits})
        self.monitor.start()

    def play(self, *commands: bytes) -> None:
        """Send a job's messages."""
        broker = Broker(self.monitor.broker)
        for command in commands:
            broker.send(b"job", command)
        broker.close()

    async def follow(self) -> list[str]:
        """Get all messages of the job."""
        path = str(self.browsers)
        async with websockets.unix_connect(path, uri="ws://localhost/") as client:
            await client.send("job")
            return [str(text) async for text in client]

    def test_job(self) -> None:
        """Messages are read from one file and delivered by the other."""
        self.start()
        self.monitor.require_logged(f"on unix:{self.browsers} for browsers")
        self.monitor.require_logged(f"and ipc:{self.broker} for the broker")
        self.play(b"STARTED", b"FINISHED")
        texts = asyncio.run(self.follow())
        self.assertEqual(texts, ['{"command": "STARTED"}', '{"command": "FINISHED"}'])

    def test_files(self) -> None:
        """Owner and group may use the files, which are removed when the monitor stops."""
        self.start()
        for file in (self.browsers, self.broker):
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o660)
        self.monitor.stop()
        self.assertFalse(self.browsers.exists() or self.broker.exists())

    def test_killed(self) -> None:
        """The files that a killed monitor leaves behind do not keep the next one from starting."""
        self.start()
        self.monitor.stop(signal.SIGKILL)
        self.assertTrue(self.browsers.exists() and self.broker.exists())
        self.start()
        self.play(b"FINISHED")
        self.assertEqual(asyncio.run(self.follow()), ['{"command": "FINISHED"}'])

    def test_second_monitor(self) -> None:
        """A second monitor does not start and says why; the first keeps its files."""
        self.start()
        second = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, second)
        for key, who in (("zeromq_uri", "the broker"), ("websocket_uri", "browsers")):
            other = Monitor(second)
            settings = yaml.safe_load(other.config.read_text())
            settings[key] = yaml.safe_load(self.monitor.config.read_text())[key]
            other.configure(**settings)
            _, errors = other.launch().communicate(timeout=20)
            self.assertIn(f"cannot listen for {who} on {settings[key]}: Address already", errors)
        self.play(b"FINISHED")
        self.assertEqual(asyncio.run(self.follow()), ['{"command": "FINISHED"}'])

    def test_stop_loses_nothing(self) -> None:
        """What the broker has sent when the monitor stops is still delivered."""
        self.start()
        count = 2000
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.browsers))
            client.settimeout(PATIENCE)
            client.sendall(b"GET /events/job HTTP/1.1\r\nHost: a\r\n\r\n")
            # A connection that is not accepted yet when the monitor stops would get nothing.
            data = client.recv(65536)
            broker = Broker(self.monitor.broker)
            for number in range(count):
                broker.send(b"job", b"TASK", str(number).encode(), b"COMPLETED")
            self.monitor.process.send_signal(signal.SIGTERM)
            data += b"".join(iter(lambda: client.recv(65536), b""))
            broker.close()
        self.assertEqual(self.monitor.process.wait(PATIENCE), 0)
        self.assertEqual(data.count(b'"TASK"'), count)

    def test_stalled_client(self) -> None:
        """A client that reads nothing any more and answers no ping is disconnected."""
        self.start(ping_interval=1, ping_timeout=1)
        with socket.socket(socket.AF_UNIX) as stalled:
            stalled.connect(str(self.browsers))
            stalled.sendall(
                b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                b"\x81\x83\0\0\0\0job"
            )
            for _ in range(5):
                self.play(*[b"x" * 60_000] * 20)
            deadline = time.monotonic() + PATIENCE
            while (
                "no longer follows 'job'" not in self.monitor.logged()
                and time.monotonic() < deadline
            ):
                time.sleep(0.02)
        self.assertIn(
            "local no longer follows 'job': the connection was lost", self.monitor.logged()
        )

    def test_taken_over(self) -> None:
        """A socket that systemd opened for the file is used, and a stop leaves the file."""
        file = SocketFile(str(self.browsers), "unix")
        reactor = MemoryReactorClock()
        public = Listener(file, LiveSettings(), ServerFactory(), reactor, [bound_file(file)])
        public.startService()
        self.assertEqual((public.addresses, len(reactor.getReaders())), ([file], 1))
        stopped = public.stopService()
        reactor.advance(1)
        self.successResultOf(stopped)
        self.assertTrue(self.browsers.exists())

    def test_nginx(self) -> None:
        """Nginx by our sample reaches it, and clients are counted by their own addresses."""
        if why := Nginx.missing():
            raise SkipTest(why)
        self.start(max_connections_per_address=2, trusted_proxies=[])
        self.folder.chmod(0o711)
        self.browsers.chmod(0o666)  # since nginx is in no group of ours here
        proxy = Nginx(str(self.folder / "nginx"), self.monitor)
        proxy.backend = f"unix:{self.browsers}"
        self.addCleanup(proxy.stop)
        proxy.start()
        follower = Follower(proxy, "job")
        self.play(b"STARTED", b"FINISHED")
        asyncio.run(follower.by_socket())
        self.assertEqual([one["command"] for one in follower.got], ["STARTED", "FINISHED"])
        self.assertEqual(asyncio.run(self.count(proxy, "127.0.0.2")), 2)

    async def count(self, proxy: Nginx, peer: str) -> int:
        """The number of event streams that an address gets."""
        streams = [lines(proxy, "/events/other", (), peer) for _ in range(4)]
        count = 0
        for stream in streams:
            try:
                await anext(stream)
                count += 1
            except NotOk:
                pass
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        return count
