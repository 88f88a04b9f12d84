"""The service that listens, with loopback sockets and a reactor in memory."""

import shutil
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path

from twisted.internet.protocol import ServerFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.network.addresses import bound_file
from recodex_monitor.network.eager import NOT_SENT
from recodex_monitor.network.listener import Listener
from recodex_monitor.settings.endpoints import Address, Endpoint, SocketFile
from tests.support.settings import change, live


class ListenerTestCase(SynchronousTestCase):
    """Listeners on a reactor in memory, which accepts nobody by itself."""

    def setUp(self) -> None:
        """Make a reactor and settings."""
        self.reactor = MemoryReactorClock()
        self.settings = live(stall_timeout=7)

    def start(self, address: Endpoint, *inherited: socket.socket) -> Listener:
        """A listener that runs."""
        listener = self.make(address, inherited)
        listener.startService()
        return listener

    def make(self, address: Endpoint, inherited: Iterable[socket.socket] = ()) -> Listener:
        """A listener that does not run yet."""
        return Listener(address, self.settings, ServerFactory(), self.reactor, inherited)

    def stop(self, listener: Listener) -> None:
        """Stop, and wait until it has stopped."""
        stopped = listener.stopService()
        self.reactor.advance(1)
        self.successResultOf(stopped)

    def listening(self) -> socket.socket:
        """A socket that listens on a free port."""
        made = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(made.close)
        return made


class OwnSocketTests(ListenerTestCase):
    """Sockets that the listener opens itself."""

    def test_free_port(self) -> None:
        """Port 0 becomes a free one, which the service reports and listens on until it stops."""
        listener = self.start(Address("127.0.0.1", 0))
        ((host, port),) = [(one.host, one.port) for one in self.tcp(listener)]
        self.assertEqual(host, "127.0.0.1")
        socket.create_connection((host, port), timeout=5).close()
        self.stop(listener)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, (host, port), 5)

    def tcp(self, listener: Listener) -> list[Address]:
        """The TCP addresses of a listener."""
        return [one for one in listener.addresses if isinstance(one, Address)]

    def test_port_in_use(self) -> None:
        """A port in use is an error that names the purpose, the address and the reason."""
        host, port = self.listening().getsockname()
        error = self.assertRaises(OSError, self.make(Address(host, port)).startService)
        self.assertIn(f"cannot listen for browsers on {host}:{port}: ", str(error))
        self.assertEqual(self.reactor.getReaders(), [])

    def test_socket_file(self) -> None:
        """The file of a Unix socket exists while the service runs, and is removed by a stop."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        file = SocketFile(str(folder / "socket"), "unix")
        listener = self.start(file)
        self.assertEqual(listener.addresses, [file])
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(file.path)
        self.stop(listener)
        self.assertEqual(list(folder.iterdir()), [])

    def test_inherited_file(self) -> None:
        """A socket file that somebody else has bound is used, and stays after a stop."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        file = SocketFile(str(folder / "socket"), "unix")
        listener = self.start(file, bound_file(file))
        self.assertEqual((listener.addresses, len(self.reactor.getReaders())), ([file], 1))
        self.stop(listener)
        self.assertEqual([path.name for path in folder.iterdir()], ["socket"])


class InheritedSocketTests(ListenerTestCase):
    """A socket that systemd has opened."""

    def take_over(self, port: int | None = None) -> tuple[Listener, socket.socket]:
        """A listener that has inherited a socket; the settings name the given or the same port."""
        inherited = self.listening()
        number = inherited.getsockname()[1] if port is None else port
        return self.start(Address("127.0.0.1", number), inherited.dup()), inherited

    def test_options(self) -> None:
        """It is used for the address of the settings, with the options that connections need."""
        listener, inherited = self.take_over()
        self.assertEqual(listener.addresses, [Address("127.0.0.1", inherited.getsockname()[1])])
        self.assertEqual(len(self.reactor.getReaders()), 1)
        options = (socket.TCP_NODELAY, socket.TCP_USER_TIMEOUT, 25)
        values = [inherited.getsockopt(socket.IPPROTO_TCP, option) for option in options]
        self.assertEqual(values[1:], [7000, NOT_SENT])
        self.assertTrue(values[0])
        self.stop(listener)

    def test_limits_that_change(self) -> None:
        """New limits become options of the socket that listens already."""
        listener, inherited = self.take_over()
        change(self.settings, stall_timeout=9)
        listener.limits_changed()
        timeout = inherited.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        self.assertEqual(timeout, 9000)
        self.stop(listener)

    def test_stop(self) -> None:
        """After a stop new clients are not refused: they wait for the next process."""
        listener, inherited = self.take_over()
        self.stop(listener)
        self.assertEqual(self.reactor.getReaders(), [])
        with socket.create_connection(inherited.getsockname(), timeout=5) as browser:
            inherited.settimeout(5)
            accepted, address = inherited.accept()
            accepted.close()
            self.assertEqual(address, browser.getsockname())

    def test_any_port(self) -> None:
        """Settings with port 0 get the port of the inherited socket."""
        listener, inherited = self.take_over(0)
        self.assertEqual(listener.addresses, [Address("127.0.0.1", inherited.getsockname()[1])])
        self.stop(listener)

    def test_other_port(self) -> None:
        """If the settings name another port the listener listens there too."""
        other = self.listening()
        number = other.getsockname()[1]
        other.close()
        listener, inherited = self.take_over(number)
        ports = [inherited.getsockname()[1], number]
        self.assertEqual(listener.addresses, [Address("127.0.0.1", port) for port in ports])
        self.stop(listener)
