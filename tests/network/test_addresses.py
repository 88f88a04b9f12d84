"""What a socket can be bound to for the hosts of the settings."""

import errno
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.network import addresses
from recodex_monitor.network.addresses import bound_file, clear, resolve
from recodex_monitor.settings.endpoints import Address, SocketFile


class ResolveTests(SynchronousTestCase):
    """Hosts become numeric addresses."""

    def hosts(self, host: str) -> list[str]:
        """The hosts that this one stands for, all with its port."""
        found = resolve(Address(host, 4567))
        self.assertEqual({address.port for address in found}, {4567})
        return [address.host for address in found]

    def test_all(self) -> None:
        """``*`` is the IPv6 wildcard where there is IPv6, else that of IPv4."""
        for has_ipv6, wildcard in ((True, "::"), (False, "0.0.0.0")):
            self.patch(addresses, "_is_ours", lambda host, answer=has_ipv6: answer)
            self.assertEqual(self.hosts("*"), [wildcard])

    def test_numeric(self) -> None:
        """An IP address is itself, also one that this machine does not have."""
        for host in ("127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"):
            self.assertEqual(self.hosts(host), [host])

    def test_localhost(self) -> None:
        """``localhost`` is this machine, each of its addresses once."""
        hosts = self.hosts("localhost")
        self.assertEqual(len(hosts), len(set(hosts)))
        self.assertLessEqual(set(hosts), {"127.0.0.1", "::1"})

    def test_addresses_of_others(self) -> None:
        """Of a name's addresses those are left out that this machine does not have."""

        def lookup(*_: Any, **__: Any) -> list[Any]:
            hosts = ("192.0.2.1", "127.0.0.1", "127.0.0.1")
            return [(0, 0, 0, "", (host, 0)) for host in hosts]

        self.patch(socket, "getaddrinfo", lookup)
        self.assertEqual(self.hosts("monitor.example.org"), ["127.0.0.1"])

    def test_unknown(self) -> None:
        """A name that nobody knows, or that cannot be one, is an OSError."""
        for host in ("monitor.invalid", "fe80::1%" + "x" * 70):
            self.assertRaises(OSError, resolve, Address(host, 4567))


class FileTests(SynchronousTestCase):
    """The files of Unix sockets."""

    def setUp(self) -> None:
        """A path where nothing is; the folders of tests are too long for it."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = Path(folder) / "socket"
        self.file = SocketFile(str(self.path), "unix")

    def bound(self) -> socket.socket:
        """A socket that is bound to the path."""
        made = bound_file(self.file)
        self.addCleanup(made.close)
        return made

    def test_mode(self) -> None:
        """Only its owner and its group may connect."""
        self.bound()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660)

    def test_stale(self) -> None:
        """What a process has left that has gone is replaced."""
        self.bound().close()
        self.assertTrue(self.path.exists())
        self.bound().listen()

    def test_in_use(self) -> None:
        """Where somebody listens, however slowly he accepts, the file stays his."""
        listening = self.bound()
        listening.listen(0)
        for _ in range(3):
            error = self.assertRaises(OSError, clear, self.file)
            self.assertEqual(error.errno, errno.EADDRINUSE)
        listening.accept()[0].close()

    def test_no_socket(self) -> None:
        """What is no socket is left alone."""
        self.path.write_text("precious")
        self.assertEqual(self.assertRaises(OSError, clear, self.file).errno, errno.EEXIST)
        self.assertEqual(self.path.read_text(), "precious")

    def test_no_folder(self) -> None:
        """Without its folder no file is made."""
        file = SocketFile(f"{self.path}/socket", "unix")
        self.assertEqual(self.assertRaises(OSError, bound_file, file).errno, errno.ENOENT)
