"""What systemd is told and hands over, with sockets that play its part."""

import os
import socket
from pathlib import Path

from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.network.eager import NOT_SENT
from recodex_monitor.network.listener import PublicPort
from recodex_monitor.settings.endpoints import Address
from recodex_monitor.settings.schema import Limits
from recodex_monitor.system import systemd


class Case(SynchronousTestCase):
    """A test with an environment of its own."""

    def setUp(self) -> None:
        """Let systemd be unknown at first."""
        self.patch(os, "environ", {})

    def listen_for_notes(self, address: str) -> socket.socket:
        """Be systemd; the environment names the address as systemd would."""
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(address.replace("@", "\0"))
        manager.setblocking(False)
        os.environ["NOTIFY_SOCKET"] = address
        return manager

    def listening(self) -> socket.socket:
        """A socket as systemd opens it."""
        made = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(made.close)
        return made


def notes(manager: socket.socket) -> list[str]:
    """What systemd has been told since the last call."""
    told = []
    while True:
        try:
            told.append(manager.recv(4096).decode())
        except BlockingIOError:
            return told


class NotifyTests(Case):
    """The datagrams."""

    def test_path(self) -> None:
        """They go to the socket's file, variables a line each."""
        manager = self.listen_for_notes(self.mktemp())
        systemd.notify(READY=1, STATUS="3 channels")
        self.assertEqual(notes(manager), ["READY=1\nSTATUS=3 channels"])

    def test_abstract(self) -> None:
        """They go to a socket without a file."""
        manager = self.listen_for_notes(f"@recodex-monitor-{os.getpid()}")
        systemd.notify(STOPPING=1)
        self.assertEqual(notes(manager), ["STOPPING=1"])

    def test_reloading(self) -> None:
        """RELOADING comes with the time, so that systemd knows which READY is the answer."""
        manager = self.listen_for_notes(self.mktemp())
        systemd.notify_reloading()
        self.assertRegex(notes(manager)[0], r"^RELOADING=1\nMONOTONIC_USEC=\d+$")

    def test_nobody(self) -> None:
        """Without systemd, or with one that has gone, nothing happens."""
        systemd.notify(READY=1)
        os.environ["NOTIFY_SOCKET"] = str(Path(self.mktemp()).absolute())
        systemd.notify(READY=1)


class HeartbeatTests(Case):
    """The watchdog's food, and the status."""

    def test_interval(self) -> None:
        """It is what systemd says, where it says it to this process."""
        self.assertIsNone(systemd.watchdog_interval())
        os.environ["WATCHDOG_USEC"] = "2500000"
        self.assertEqual(systemd.watchdog_interval(), 2.5)
        os.environ["WATCHDOG_PID"] = "1"
        self.assertIsNone(systemd.watchdog_interval())
        os.environ["WATCHDOG_PID"] = str(os.getpid())
        self.assertEqual(systemd.watchdog_interval(), 2.5)

    def test_beat(self) -> None:
        """Every beat feeds the watchdog, one in ten seconds tells the status."""
        os.environ["WATCHDOG_USEC"] = "10000000"
        manager = self.listen_for_notes(self.mktemp())
        clock = Clock()
        heartbeat = systemd.Heartbeat(lambda: f"it is {clock.seconds():.0f}", clock.seconds)
        told = []
        for _ in range(21):
            heartbeat.beat()
            told += notes(manager)
            clock.advance(1)
        self.assertEqual(told.count("WATCHDOG=1"), 21)
        told = [text for text in told if text != "WATCHDOG=1"]
        self.assertEqual(told, ["STATUS=it is 0", "STATUS=it is 10", "STATUS=it is 20"])

    def test_unwatched(self) -> None:
        """Without a watchdog the status goes alone."""
        manager = self.listen_for_notes(self.mktemp())
        systemd.Heartbeat(lambda: "fine", Clock().seconds).beat()
        self.assertEqual(notes(manager), ["STATUS=fine"])


class InheritedTests(Case):
    """The sockets that are handed over."""

    def hand_over(self, *names: str) -> list[int]:
        """Open a socket for each name, with descriptors one after the other; returns the ports."""
        first, ports = 700, []
        self.patch(systemd, "_FIRST", first)
        for number, _ in enumerate(names):
            opened = self.listening()
            ports.append(opened.getsockname()[1])
            os.dup2(opened.fileno(), first + number)
        self.started_with(
            LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names)
        )
        return ports

    def started_with(self, **environ: str) -> None:
        """Let the process have been started with an environment."""
        self.patch(systemd, "_started_with", lambda: environ)

    def inherited_ports(self) -> list[int]:
        """The ports of what is found."""
        found = systemd.inherited_sockets()
        for one in found:
            self.addCleanup(one.close)
        return [one.getsockname()[1] for one in found]

    def test_named(self) -> None:
        """The one with the name is found, another's is left alone."""
        ports = self.hand_over("metrics", "browsers")
        self.addCleanup(os.close, 700)
        self.assertEqual(self.inherited_ports(), ports[1:])

    def test_unnamed(self) -> None:
        """Without names all are the public port's."""
        ports = self.hand_over("", "")
        self.started_with(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
        self.assertEqual(self.inherited_ports(), ports)

    def test_not_mine(self) -> None:
        """What was handed to another process, a parent, is left alone."""
        self.started_with(LISTEN_PID="1", LISTEN_FDS="1")
        self.assertEqual(self.inherited_ports(), [])
        self.started_with()
        self.assertEqual(self.inherited_ports(), [])


class TakenOverTests(Case):
    """The public port on a socket of systemd's."""

    def start(self, port: int) -> tuple[PublicPort, socket.socket]:
        """Take a socket over, where the settings name this port, or -1 for the socket's."""
        systemds = self.listening()
        number = systemds.getsockname()[1] if port < 0 else port
        self.reactor = MemoryReactorClock()
        self.limits = Limits(stall_timeout=7)
        public = PublicPort(
            Address("127.0.0.1", number),
            self.limits,
            ServerFactory(),
            self.reactor,
            [systemds.dup()],
        )
        public.startService()
        return public, systemds

    def stop(self, public: PublicPort) -> None:
        """Stop, and wait until it has stopped."""
        stopped = public.stopService()
        self.reactor.advance(1)
        self.successResultOf(stopped)

    def test_listens(self) -> None:
        """It stands for the settings' address, with the options that connections need."""
        public, systemds = self.start(-1)
        self.assertEqual(public.addresses, [Address("127.0.0.1", systemds.getsockname()[1])])
        self.assertEqual(len(self.reactor.getReaders()), 1)
        options = (socket.TCP_NODELAY, socket.TCP_USER_TIMEOUT, 25)
        values = [systemds.getsockopt(socket.IPPROTO_TCP, option) for option in options]
        self.assertEqual(values[1:], [7000, NOT_SENT])
        self.assertTrue(values[0])
        self.stop(public)

    def test_limits_that_change(self) -> None:
        """New limits are new options of the socket."""
        public, systemds = self.start(-1)
        self.limits.stall_timeout = 9
        public.limits_changed()
        timeout = systemds.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        self.assertEqual(timeout, 9000)
        self.stop(public)

    def test_stop(self) -> None:
        """Once it has stopped, who connects is not refused but waits for the next one."""
        public, systemds = self.start(-1)
        self.stop(public)
        self.assertEqual(self.reactor.getReaders(), [])
        with socket.create_connection(systemds.getsockname(), timeout=5) as browser:
            systemds.settimeout(5)
            accepted, address = systemds.accept()
            accepted.close()
            self.assertEqual(address, browser.getsockname())

    def test_any_port(self) -> None:
        """Settings that leave the port to the system get systemd's."""
        public, systemds = self.start(0)
        self.assertEqual(public.addresses, [Address("127.0.0.1", systemds.getsockname()[1])])
        self.stop(public)

    def test_other_port(self) -> None:
        """Settings that name another port are followed too."""
        other = self.listening()
        number = other.getsockname()[1]
        other.close()
        public, systemds = self.start(number)
        ports = [systemds.getsockname()[1], number]
        self.assertEqual(public.addresses, [Address("127.0.0.1", port) for port in ports])
        self.stop(public)
