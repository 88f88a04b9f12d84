"""Which clients are admitted."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.admission import LOCAL, Admission, Refused
from recodex_monitor.clients.forwarded import Source
from tests.support.settings import live

PROXIES = (ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("::1/128"))


def admission(
    total: int = 100, per_address: int = 100, origins: tuple[str, ...] = ("*",)
) -> Admission:
    """An admission that trusts PROXIES."""
    settings = live(
        max_connections=total,
        max_connections_per_address=per_address,
        trusted_proxies=PROXIES,
        allowed_origins=origins,
    )
    return Admission(settings)


def allows(made: Admission, origin: str) -> bool:
    """Whether pages of this origin may connect to a monitor of another host."""
    return made.allows("192.0.2.1", Source(host="monitor.example", origin=origin))


class LimitTests(SynchronousTestCase):
    """Limits on the number of connections."""

    def refused(self, made: Admission, peer: str, forwarded_for: str = "") -> Refused:
        """The error for a client that must be refused."""
        source = Source(x_forwarded_for=forwarded_for)
        error: Refused = self.assertRaises(Refused, made.admit, peer, source)
        return error

    def test_in_all(self) -> None:
        """A client beyond the limit is refused with 503, until another has gone."""
        made = admission(total=2)
        address = made.admit("192.0.2.1")
        made.admit("192.0.2.2")
        self.assertEqual(self.refused(made, "192.0.2.3").status, 503)
        made.release(address)
        made.admit("192.0.2.3")

    def test_an_address(self) -> None:
        """A client beyond the limit of its address is refused; other addresses are not affected."""
        made = admission(per_address=1)
        address = made.admit("192.0.2.1")
        self.assertEqual(self.refused(made, "192.0.2.1").status, 503)
        made.admit("192.0.2.2")
        made.release(address)
        made.admit("192.0.2.1")

    def test_crowded(self) -> None:
        """The refusal of a crowded address names it, and what to set if it is a proxy."""
        made = admission(per_address=1)
        made.admit("192.0.2.1")
        refused = self.refused(made, "192.0.2.1")
        for part in ("192.0.2.1", "look like a proxy", "trusted_proxies", "X-Forwarded-For"):
            self.assertIn(part, refused.text)
            self.assertIn(part, str(refused))

    def test_a_proxy_without_the_header(self) -> None:
        """The clients of a trusted proxy that sends no addresses are not limited as one."""
        made = admission(per_address=1)
        for _ in range(5):
            self.assertEqual(made.admit("127.0.0.1"), "127.0.0.1")

    @given(st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"])))
    def test_all_have_gone(self, addresses: list[str]) -> None:
        """When all clients have gone, as many as at first are admitted."""
        made = admission(total=len(addresses) + 1)
        for address in [made.admit(address) for address in addresses]:
            made.release(address)
        for _ in range(len(addresses) + 1):
            made.admit("192.0.2.9")
        self.refused(made, "192.0.2.9")


class AddressTests(SynchronousTestCase):
    """The address of a client."""

    def test_forwarded(self) -> None:
        """X-Forwarded-For counts from trusted proxies only: its right-most foreign entry."""
        for peer, forwarded_for, client in (
            ("192.0.2.1", "", "192.0.2.1"),
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("127.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
            ("127.0.0.1", "203.0.113.9, 198.51.100.7 ,10.1.2.3", "198.51.100.7"),
            ("127.0.0.1", "10.1.2.3", "10.1.2.3"),
            ("::1", "2001:db8::1", "2001:db8::1"),
            ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("127.0.0.1", "", "127.0.0.1"),
            ("127.0.0.1", "198.51.100.7, nonsense", "127.0.0.1"),
            ("127.0.0.1", "nonsense, 198.51.100.7", "198.51.100.7"),
            ("127.0.0.1", LOCAL, "127.0.0.1"),
            ("192.0.2.1", LOCAL, "192.0.2.1"),
        ):
            source = Source(x_forwarded_for=forwarded_for)
            self.assertEqual(admission().admit(peer, source), client, forwarded_for)

    def test_socket_file(self) -> None:
        """A peer on a Unix socket is a trusted proxy without a limit of its own."""
        made = admission(per_address=1)
        source = Source(x_forwarded_for="198.51.100.7")
        self.assertEqual(made.admit(LOCAL, source), "198.51.100.7")
        self.assertRaises(Refused, made.admit, LOCAL, source)
        self.assertEqual([made.admit(LOCAL) for _ in range(2)], [LOCAL, LOCAL])

    def test_forwarded_with_ports(self) -> None:
        """Clients whose addresses come with ports, or in other forms, are counted by address."""
        made = admission(per_address=2)
        for text in ("192.0.2.7:5000", "192.0.2.7:5001", '"[::ffff:192.0.2.7]:1"'):
            source = Source(x_forwarded_for=text)
            if text.startswith('"'):
                self.assertRaises(Refused, made.admit, "127.0.0.1", source)
            else:
                self.assertEqual(made.admit("127.0.0.1", source), "192.0.2.7")

    def test_mapped_peer(self) -> None:
        """An IPv4 client of a socket for both families has its IPv4 address."""
        self.assertEqual(admission().admit("::ffff:192.0.2.7"), "192.0.2.7")

    @given(st.text(), st.text(), st.text())
    def test_any_text(self, peer: str, forwarded_for: str, forwarded: str) -> None:
        """With any headers a client has an address."""
        made = admission()
        made.release(made.admit(peer, Source(x_forwarded_for=forwarded_for, forwarded=forwarded)))


class OriginTests(SynchronousTestCase):
    """Origins of pages."""

    def test_matching(self) -> None:
        """Origins match in any case, with or without default ports, and by wildcards for hosts."""
        made = admission(origins=("https://recodex.example.org", "http://*.test:8080", "http://a"))
        for origin, allowed in (
            ("https://recodex.example.org", True),
            ("https://recodex.example.org:443", True),
            ("HTTPS://ReCodEx.example.org", True),
            ("http://recodex.example.org", False),
            ("https://recodex.example.org.evil.example", False),
            ("https://evil.example/https://recodex.example.org", False),
            ("https://recodex-example.org", False),
            ("http://dev.test:8080", True),
            ("http://dev.test", False),
            ("http://test:8080", False),
            ("http://a:80", True),
            ("null", False),
        ):
            self.assertEqual(allows(made, origin), allowed, origin)
            self.assertEqual(made.lists(origin), allowed, origin)

    def test_own(self) -> None:
        """The monitor's own pages may connect, by its own name and by those of trusted proxies."""
        made = admission(origins=("https://recodex.example.org",))
        own = Source(host="monitor.example", origin="https://monitor.example")
        self.assertTrue(made.allows("192.0.2.1", own))
        proxied = own._replace(host="127.0.0.1:4567", x_forwarded_host="monitor.example")
        self.assertTrue(made.allows("127.0.0.1", proxied))
        self.assertFalse(made.allows("192.0.2.1", proxied))

    def test_other_schemes(self) -> None:
        """Origins without a host, and of other schemes, can be listed."""
        listed = ("null", "capacitor://localhost", "chrome-extension://*", "file://")
        made = admission(origins=listed)
        for origin in ("null", "capacitor://localhost", "chrome-extension://abc", "file://"):
            self.assertTrue(allows(made, origin), origin)
        for origin in ("capacitor://localhost:80", "chrome-extension://", "nullx", "https://null"):
            self.assertFalse(allows(made, origin), origin)

    def test_any(self) -> None:
        """By default all origins may connect."""
        self.assertTrue(allows(admission(), "https://evil.example"))

    def test_listed(self) -> None:
        """An origin that is allowed as any other is not listed, unless it is named as well."""
        made = admission(origins=("*", "https://recodex.example.org"))
        self.assertTrue(allows(made, "https://evil.example"))
        self.assertTrue(made.lists("https://recodex.example.org"))
        for origin in ("https://evil.example", "*", "", "null"):
            self.assertFalse(made.lists(origin), origin)
        self.assertFalse(admission().lists("https://evil.example"))
