"""Tests of a monitor in a folder of its own, without starting one."""

import asyncio
import socket
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings import parsing
from recodex_monitor.settings.endpoints import Address
from recodex_monitor.tools import local_monitor
from recodex_monitor.tools.local_monitor import LocalMonitor, MonitorError


class LocalMonitorTests(SynchronousTestCase):
    """Its addresses, settings and last lines."""

    def setUp(self) -> None:
        """Describe a monitor with a folder whose name YAML would misread without quotes."""
        folder = Path(self.mktemp()) / "a: b # 'c' žluť"
        folder.mkdir(parents=True)
        self.monitor = LocalMonitor(folder, 81, 82, 83)

    def test_settings(self) -> None:
        """The monitor reads its settings as they are meant."""
        self.monitor.config.write_text(self.monitor.settings(), encoding="utf-8")
        settings = parsing.load(str(self.monitor.config))
        self.assertEqual(settings.websocket_uri, Address("127.0.0.1", 81))
        self.assertEqual(settings.zeromq_uri, Address("127.0.0.1", 82))
        self.assertEqual(settings.status_uri, Address("127.0.0.1", 83))
        self.assertEqual(settings.logger.file, str(self.monitor.log))

    def test_folder_not_utf8(self) -> None:
        """A folder that the settings cannot name is an error, without a traceback."""
        folder = Path(self.mktemp()) / "a\udcff"
        folder.mkdir(parents=True)

        async def run() -> None:
            async with LocalMonitor(folder, 81, 82, 83).running():
                self.fail("it was started")

        with self.assertRaisesRegex(MonitorError, r"not UTF-8: .*a\\udcff$"):
            asyncio.run(run())

    def test_addresses(self) -> None:
        """Browsers and the broker get the addresses that the settings have."""
        self.assertEqual(self.monitor.url, "ws://127.0.0.1:81/")
        self.assertEqual(self.monitor.endpoint, "tcp://127.0.0.1:82")

    def test_tail(self) -> None:
        """The last 20 lines of the log come before those of the output, all printable."""
        self.assertEqual(self.monitor.tail(), "")
        self.monitor.log.write_text("".join(f"line {number}\n" for number in range(30)))
        self.monitor.output.write_bytes(b"\x1b[2J\xff\n")
        lines = self.monitor.tail().split("\n")
        self.assertEqual(len(lines), 21)
        self.assertEqual((lines[0], lines[-2]), ("line 10", "line 29"))
        self.assertEqual(lines[-1], r"\x1b[2J" + "\ufffd")

    def test_dead(self) -> None:
        """The end of the process is an error with its exit code and its last lines."""
        self.monitor.output.write_text("out of memory\n")
        process = mock.Mock(wait=mock.AsyncMock(return_value=-9))
        with self.assertRaises(MonitorError) as caught:
            asyncio.run(self.monitor.until_dead(process))
        self.assertEqual(str(caught.exception), "the monitor ended with code -9\nout of memory")


class PortProbe:
    """A socket on a machine where port 4567 is taken and 50000 is the next free one."""

    port = 0

    def __enter__(self) -> "PortProbe":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def setsockopt(self, *_: object) -> None:
        """Options change nothing here."""

    def bind(self, address: tuple[str, int]) -> None:
        """Take a port."""
        if address[1] == 4567:
            raise OSError("Address already in use")
        self.port = address[1] or 50_000

    def getsockname(self) -> tuple[str, int]:
        """The address that was taken."""
        return "127.0.0.1", self.port


class PortTests(SynchronousTestCase):
    """The ports of a new monitor."""

    def test_default_ports_taken(self) -> None:
        """A default port that is taken is replaced by a free one."""
        self.patch(socket, "socket", PortProbe)
        monitor = local_monitor.in_folder(Path("folder"))
        self.assertEqual(monitor.websocket_port, 50_000)
        self.assertEqual((monitor.zmq_port, monitor.status_port), (7894, 4568))
