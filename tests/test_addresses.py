"""What a socket can be bound to for the hosts of the settings."""

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import addresses
from recodex_monitor.addresses import resolve
from recodex_monitor.config import Address


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
