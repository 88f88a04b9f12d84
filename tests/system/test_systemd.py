"""Notifications to systemd and sockets from it, with sockets in its place."""

import os
import socket
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.system import systemd


class Case(SynchronousTestCase):
    """A test with an environment of its own."""

    def setUp(self) -> None:
        """Begin without systemd."""
        self.patch(os, "environ", {})

    def listen_for_notes(self, address: str) -> socket.socket:
        """Listen as systemd does; the environment names the address."""
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
    """The notifications since the last call."""
    told = []
    while True:
        try:
            told.append(manager.recv(4096).decode())
        except BlockingIOError:
            return told


class NotifyTests(Case):
    """Notifications."""

    def test_path(self) -> None:
        """They go to a socket file, one variable a line."""
        manager = self.listen_for_notes(self.mktemp())
        systemd.notify(READY=1, STATUS="3 channels")
        self.assertEqual(notes(manager), ["READY=1\nSTATUS=3 channels"])

    def test_abstract(self) -> None:
        """They go to an abstract socket."""
        manager = self.listen_for_notes(f"@recodex-monitor-{os.getpid()}")
        systemd.notify(STOPPING=1)
        self.assertEqual(notes(manager), ["STOPPING=1"])

    def test_reloading(self) -> None:
        """RELOADING comes with the time, by which systemd finds the READY that follows it."""
        manager = self.listen_for_notes(self.mktemp())
        systemd.notify_reloading()
        self.assertRegex(notes(manager)[0], r"^RELOADING=1\nMONOTONIC_USEC=\d+$")

    def test_nobody(self) -> None:
        """Without systemd, or if it does not listen any more, nothing happens."""
        systemd.notify(READY=1)
        os.environ["NOTIFY_SOCKET"] = str(Path(self.mktemp()).absolute())
        systemd.notify(READY=1)


class HeartbeatTests(Case):
    """Signs of life for the watchdog, and the status."""

    def test_interval(self) -> None:
        """The interval is what systemd sets for this process; that of another is ignored."""
        self.assertIsNone(systemd.watchdog_interval())
        os.environ["WATCHDOG_USEC"] = "2500000"
        self.assertEqual(systemd.watchdog_interval(), 2.5)
        os.environ["WATCHDOG_PID"] = "1"
        self.assertIsNone(systemd.watchdog_interval())
        os.environ["WATCHDOG_PID"] = str(os.getpid())
        self.assertEqual(systemd.watchdog_interval(), 2.5)
        os.environ["WATCHDOG_USEC"] = "soon"
        self.assertRaises(systemd.WrongEnvironment, systemd.watchdog_interval)

    def test_beat(self) -> None:
        """Every beat is a sign of life; one in ten seconds has the status."""
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
        """Without a watchdog only the status is sent."""
        manager = self.listen_for_notes(self.mktemp())
        systemd.Heartbeat(lambda: "fine", Clock().seconds).beat()
        self.assertEqual(notes(manager), ["STATUS=fine"])


class InheritedTests(Case):
    """The sockets that systemd passes on."""

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
        """Set the environment that the process was started with."""
        self.patch(systemd, "_initial_environment", lambda: environ)

    def inherited_ports(self) -> list[int]:
        """The ports of the sockets that are found."""
        found = systemd.inherited_sockets()
        for one in found:
            self.addCleanup(one.close)
        return [one.getsockname()[1] for one in found]

    def test_named(self) -> None:
        """Only the socket with our name is taken."""
        ports = self.hand_over("metrics", "browsers")
        self.addCleanup(os.close, 700)
        self.assertEqual(self.inherited_ports(), ports[1:])

    def test_unnamed(self) -> None:
        """Without names all sockets are taken."""
        ports = self.hand_over("", "")
        self.started_with(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
        self.assertEqual(self.inherited_ports(), ports)

    def why(self) -> str:
        """Why the environment is wrong."""
        error: Exception = self.assertRaises(systemd.WrongEnvironment, systemd.inherited_sockets)
        return str(error)

    def test_no_socket(self) -> None:
        """A descriptor that is none, or no listening socket, is an error that says so."""
        self.patch(systemd, "_FIRST", 700)
        self.started_with(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
        text = "systemd's LISTEN_FDS is 1, but descriptor 700 is not a socket (Bad file descriptor)"
        self.assertEqual(self.why(), text)
        self.addCleanup(os.close, 700)
        with open("/dev/null") as file:
            os.dup2(file.fileno(), 700)
        self.assertIn("descriptor 700 is not a socket", self.why())
        pair = socket.socketpair()
        for made in (socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(), *pair):
            with made:
                os.dup2(made.fileno(), 700)
            self.assertIn("descriptor 700 does not listen for streams", self.why())

    def test_no_number(self) -> None:
        """A count that is no number is an error that names the variable."""
        for text in ("abc", "-1", "1.5", "9" * 30):
            self.started_with(LISTEN_PID=str(os.getpid()), LISTEN_FDS=text)
            self.assertEqual(
                self.why(), f"the environment variable LISTEN_FDS is {text!r}, not a number"
            )

    def test_not_mine(self) -> None:
        """Sockets for another process, such as a parent, are not taken."""
        self.started_with(LISTEN_PID="1", LISTEN_FDS="1")
        self.assertEqual(self.inherited_ports(), [])
        self.started_with()
        self.assertEqual(self.inherited_ports(), [])
