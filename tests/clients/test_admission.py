"""Who may connect."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.admission import LOCAL, Admission, Refused
from recodex_monitor.settings.schema import Limits

PROXIES = (ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("::1/128"))


def admission(
    places: int = 100, an_address: int = 100, origins: tuple[str, ...] = ("*",)
) -> Admission:
    """An admission that trusts PROXIES."""
    limits = Limits(
        max_connections=places,
        max_connections_per_address=an_address,
        trusted_proxies=PROXIES,
        allowed_origins=origins,
    )
    return Admission(limits)


class PlaceTests(SynchronousTestCase):
    """Places are counted."""

    def refused(self, made: Admission, peer: str, forwarded_for: str = "") -> Refused:
        """Why a client is refused."""
        error: Refused = self.assertRaises(Refused, made.admit, peer, forwarded_for)
        return error

    def test_in_all(self) -> None:
        """When all places are taken the next client gets 503, until one is free again."""
        made = admission(places=2)
        address = made.admit("192.0.2.1")
        made.admit("192.0.2.2")
        self.assertEqual(self.refused(made, "192.0.2.3").status, 503)
        made.release(address)
        made.admit("192.0.2.3")

    def test_an_address(self) -> None:
        """One address gets so many places; others are not touched by that."""
        made = admission(an_address=1)
        address = made.admit("192.0.2.1")
        self.assertEqual(self.refused(made, "192.0.2.1").status, 503)
        made.admit("192.0.2.2")
        made.release(address)
        made.admit("192.0.2.1")

    def test_a_proxy_without_the_header(self) -> None:
        """The clients of a proxy that does not tell their addresses are not counted as one."""
        made = admission(an_address=1)
        for _ in range(5):
            self.assertEqual(made.admit("127.0.0.1"), "127.0.0.1")

    @given(st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"])))
    def test_all_places_come_back(self, addresses: list[str]) -> None:
        """When all clients have gone there is room for as many as at first."""
        made = admission(places=len(addresses) + 1)
        for address in [made.admit(address) for address in addresses]:
            made.release(address)
        for _ in range(len(addresses) + 1):
            made.admit("192.0.2.9")
        self.refused(made, "192.0.2.9")


class AddressTests(SynchronousTestCase):
    """Which address a client has."""

    def test_forwarded(self) -> None:
        """X-Forwarded-For counts from proxies only, and of it the right-most foreign entry."""
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
            self.assertEqual(admission().admit(peer, forwarded_for), client, forwarded_for)

    def test_socket_file(self) -> None:
        """Who comes by a Unix socket is a proxy, which is believed and has no bound itself."""
        made = admission(an_address=1)
        self.assertEqual(made.admit(LOCAL, "198.51.100.7"), "198.51.100.7")
        self.assertRaises(Refused, made.admit, LOCAL, "198.51.100.7")
        self.assertEqual([made.admit(LOCAL) for _ in range(2)], [LOCAL, LOCAL])

    @given(st.text(), st.text())
    def test_any_text(self, peer: str, forwarded_for: str) -> None:
        """Whatever a header says, a client has an address."""
        made = admission()
        made.release(made.admit(peer, forwarded_for))


class OriginTests(SynchronousTestCase):
    """Which pages may connect."""

    def test_matching(self) -> None:
        """Origins match as people write them, default ports and wildcards for subdomains too."""
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
            self.assertEqual(made.allows(origin), allowed, origin)

    def test_refused(self) -> None:
        """Another page gets 403; what is no page has no origin and may connect."""
        made = admission(origins=("https://recodex.example.org",))
        error = self.assertRaises(Refused, made.admit, "192.0.2.1", "", "https://evil.example")
        self.assertEqual(error.status, 403)
        made.admit("192.0.2.1")

    def test_any(self) -> None:
        """By default every page may connect."""
        self.assertTrue(admission().allows("https://evil.example"))
