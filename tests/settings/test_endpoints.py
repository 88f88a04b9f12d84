"""Addresses, socket files, and who can connect to them."""

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.endpoints import Address, SocketFile, collide, is_private, parsed_ip


class CollisionTests(SynchronousTestCase):
    """Listeners that exclude each other."""

    def test_collide(self) -> None:
        """The same address, a wildcard beside one that it covers, and the same socket file."""
        for one, other, expected in (
            ("127.0.0.1", "127.0.0.1", True),
            ("127.0.0.1", "127.0.0.2", False),
            ("127.0.0.1", "::1", False),
            ("127.0.0.1", "::ffff:127.0.0.1", True),
            ("localhost", "127.0.0.1", True),
            ("localhost", "::1", True),
            ("*", "127.0.0.1", True),
            ("*", "::1", True),
            ("*", "a.example.org", True),
            ("::", "0.0.0.0", True),
            ("0.0.0.0", "10.0.0.1", True),
            ("0.0.0.0", "::1", False),
            ("0.0.0.0", "localhost", True),
            ("::1", "0:0:0:0:0:0:0:1", True),
            ("A.example.org", "a.example.org.", True),
            ("a.example.org", "127.0.0.1", False),
        ):
            for left, right in ((one, other), (other, one)):
                found = collide(Address(left, 1), Address(right, 1))
                self.assertEqual(found, expected, f"{left} {right}")
            self.assertFalse(collide(Address(one, 1), Address(other, 2)))
            self.assertFalse(collide(Address(one, 0), Address(other, 0)))

    def test_files(self) -> None:
        """Socket files collide if they are the same file, by whatever path and scheme."""
        self.assertTrue(collide(SocketFile("/a/b", "unix"), SocketFile("/a/../a/b", "ipc")))
        self.assertFalse(collide(SocketFile("/a/b", "unix"), SocketFile("/a/c", "ipc")))
        self.assertFalse(collide(SocketFile("/a", "unix"), Address("*", 1)))


class EndpointTests(SynchronousTestCase):
    """Endpoints as people see them."""

    def test_text(self) -> None:
        """An address is shown as in a URL, an IPv6 one in brackets; a socket with its scheme."""
        self.assertEqual(str(Address("localhost", 1)), "localhost:1")
        self.assertEqual(str(Address("::1", 1)), "[::1]:1")
        self.assertEqual(str(SocketFile("/run/monitor", "ipc")), "ipc:/run/monitor")

    def test_private(self) -> None:
        """Only this machine can connect to loopback addresses and to Unix sockets."""
        for host in (
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "::ffff:127.0.0.1",
            "localhost",
            "LocalHost.",
        ):
            self.assertTrue(is_private(Address(host, 1)), host)
        self.assertTrue(is_private(SocketFile("/run/monitor", "unix")))

    def test_not_private(self) -> None:
        """Other machines may be able to connect to all others, also to what a name stands for."""
        for host in ("0.0.0.0", "::", "*", "192.0.2.1", "localhost.example.org", "monitor"):
            self.assertFalse(is_private(Address(host, 1)), host)


class ParsedIpTests(SynchronousTestCase):
    """Texts that are IP addresses."""

    def test_both_families(self) -> None:
        """IPv4 and IPv6 are parsed, and an IPv4 address in IPv6 form is IPv4."""
        for text, parsed in (
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ):
            self.assertEqual(parsed_ip(text), ip_address(parsed))

    def test_no_address(self) -> None:
        """Anything else is None."""
        for text in ("", "localhost", "192.0.2", "192.0.2.256", "192.0.2.1:80", "[::1]"):
            self.assertIsNone(parsed_ip(text), text)
