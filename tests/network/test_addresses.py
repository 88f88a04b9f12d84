"""Host names and socket files of the settings, and what a socket is bound to."""

import errno
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.network import addresses
from recodex_monitor.network.addresses import bound_file, clear, is_ipv6_alone, resolve
from recodex_monitor.settings.endpoints import Address, SocketFile


class ResolveTests(SynchronousTestCase):
    """Host names become IP addresses."""

    def hosts(self, host: str) -> list[str]:
        """The IP addresses for a host name, which all have its port."""
        found = resolve(Address(host, 4567))
        self.assertEqual({address.port for address in found}, {4567})
        return [address.host for address in found]

    def test_all(self) -> None:
        """``*`` is the IPv6 wildcard, or the IPv4 wildcard on a machine without IPv6."""
        for has_ipv6, wildcard in ((True, "::"), (False, "0.0.0.0")):
            self.patch(addresses, "_is_ours", lambda host, answer=has_ipv6: answer)
            self.assertEqual(self.hosts("*"), [wildcard])

    def test_numeric(self) -> None:
        """An IP address stays itself, even if this machine does not have it."""
        for host in ("127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"):
            self.assertEqual(self.hosts(host), [host])

    def test_ipv6_alone(self) -> None:
        """A wildcard takes IPv4 too, and of a name that is unknown nothing is known."""
        for host, expected in {
            "::1": True,
            "2001:db8::1": True,
            "::": False,
            "127.0.0.1": False,
        }.items():
            self.assertEqual(is_ipv6_alone(Address(host, 1)), expected, host)
        self.assertFalse(is_ipv6_alone(Address("no.such.host.invalid", 1)))
        self.assertFalse(is_ipv6_alone(SocketFile("/run/x", "ipc")))

    def test_localhost(self) -> None:
        """``localhost`` is this machine; no address is repeated."""
        hosts = self.hosts("localhost")
        self.assertEqual(len(hosts), len(set(hosts)))
        self.assertLessEqual(set(hosts), {"127.0.0.1", "::1"})

    def test_addresses_of_others(self) -> None:
        """Addresses of a name that this machine does not have are left out."""

        def lookup(*_: Any, **__: Any) -> list[Any]:
            hosts = ("192.0.2.1", "127.0.0.1", "127.0.0.1")
            return [(0, 0, 0, "", (host, 0)) for host in hosts]

        self.patch(socket, "getaddrinfo", lookup)
        self.assertEqual(self.hosts("monitor.example.org"), ["127.0.0.1"])

    def test_unknown(self) -> None:
        """An unknown or impossible host name is an OSError."""
        for host in ("monitor.invalid", "fe80::1%" + "x" * 70):
            self.assertRaises(OSError, resolve, Address(host, 4567))


class FileTests(SynchronousTestCase):
    """The files of Unix sockets."""

    def setUp(self) -> None:
        """A path without a file; the folders of tests have too long names for a socket."""
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
        """A file that a dead process has left is replaced."""
        self.bound().close()
        self.assertTrue(self.path.exists())
        self.bound().listen()

    def test_in_use(self) -> None:
        """The file of a process that listens is left alone, however slowly that process accepts."""
        listening = self.bound()
        listening.listen(0)
        for _ in range(3):
            error = self.assertRaises(OSError, clear, self.file)
            self.assertEqual(error.errno, errno.EADDRINUSE)
        listening.accept()[0].close()

    def test_no_socket(self) -> None:
        """A file that is no socket is left alone."""
        self.path.write_text("precious")
        self.assertEqual(self.assertRaises(OSError, clear, self.file).errno, errno.EEXIST)
        self.assertEqual(self.path.read_text(), "precious")

    def test_no_folder(self) -> None:
        """A file in a folder that does not exist is an error."""
        file = SocketFile(f"{self.path}/socket", "unix")
        self.assertEqual(self.assertRaises(OSError, bound_file, file).errno, errno.ENOENT)
