"""What requests and proxies say of where a request comes from."""

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.forwarded import (
    Source,
    address_of,
    client_addresses,
    is_own_origin,
)
from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser
from tests.support.frames import HANDSHAKE

V4, V6 = "192.0.2.7", "2001:db8::1"


class NodeTests(SynchronousTestCase):
    """Addresses as proxies write them."""

    def test_forms(self) -> None:
        """An address may have a port, quotes, brackets, spaces and any spelling."""
        for text, address in (
            *((form, V4) for form in (V4, f"{V4}:5000", f" {V4}\t", f'"{V4}"', f'"{V4}:80"')),
            *((form, V4) for form in (f"{V4}:", f"{V4}:_port", f"::ffff:{V4}", f"[::ffff:{V4}]:1")),
            *(
                (form, V6)
                for form in (V6, f"[{V6}]", f"[{V6}]:4711", f'"[{V6}]:4711"', "2001:DB8::1")
            ),
            *((form, V6) for form in ("2001:db8:0:0:0:0:0:1:5000", f"[{V6}]:_a.b-c", f"\t[{V6}] ")),
            ("fe80::1%eth0", "fe80::1%eth0"),
        ):
            self.assertEqual(address_of(text), address, text)

    def test_none(self) -> None:
        """Anything else is no address."""
        for text in (
            *("", "unknown", "_hidden", "_SEVKISEK", "local", "192.0.2", "192.0.2.7.9", "a:80"),
            *(
                f"{V4}:port",
                f"{V4} 5000",
                f"[{V6}",
                f"{V6}]",
                f"[{V6}]4711",
                '"',
                '""',
                "[]",
                ":80",
            ),
            *("[unknown]:1", "unknown:1", f"{V4}:123456"),
        ):
            self.assertIsNone(address_of(text), text)


class ClientAddressTests(SynchronousTestCase):
    """The addresses behind the peer."""

    def test_x_forwarded_for(self) -> None:
        """The last entry is the nearest; empty entries mean nothing, others are hidden."""
        for text, addresses in (
            (f"{V6}, {V4}:80", [V4, V6]),
            (f"{V6},\t{V4} ,, ,", [V4, V6]),
            (f"unknown,{V4}", [V4, None]),
            (f"{V4}, _hidden", [None, V4]),
            (f'"a,b",{V4}', [V4, None]),
            (f'",{V4}', [V4, None]),
            (",", []),
        ):
            self.assertEqual(list(client_addresses(Source(x_forwarded_for=text))), addresses, text)

    def test_forwarded(self) -> None:
        """The standard header is read as RFC 7239 says."""
        for text, addresses in (
            (f'for="[{V6}]:4711";proto=https, for={V4}', [V4, V6]),
            (f"For={V4};by=203.0.113.1;host=a", [V4]),
            (f"proto=https ; for={V4}", [V4]),
            (f'for="{V4}:_x", for=_SEVKISEK , for=unknown', [None, None, V4]),
            (f"proto=http,for={V4}", [V4, None]),
            (f"for=[{V6}]:1", [V6]),
            (f'by="a;for=203.0.113.1";for={V4}', [V4]),
            (f'by="a,for=203.0.113.1";for={V4}', [V4]),
            (f'for="x, for="[{V6}]:4711"', [V6, None]),
            (f'for="x, for={V4}', [V4, None]),
        ):
            self.assertEqual(list(client_addresses(Source(forwarded=text))), addresses, text)

    def test_both(self) -> None:
        """X-Forwarded-For goes before Forwarded, unless it is empty."""
        both = Source(x_forwarded_for=V4, forwarded=f"for={V6}")
        self.assertEqual(list(client_addresses(both)), [V4])
        self.assertEqual(list(client_addresses(both._replace(x_forwarded_for=" , "))), [V6.lower()])

    @given(st.text(alphabet='",;=for[]: \t12.\\'), st.sampled_from((V4, f'"[{V6}]:1"')))
    def test_nothing_spoils_the_last(self, forged: str, node: str) -> None:
        """Whatever a client sends, the entry that a proxy adds to it is read."""
        text = f"{forged}, for={node}"
        self.assertEqual(next(client_addresses(Source(forwarded=text))), address_of(node))

    def test_hostile(self) -> None:
        """A long header of any kind is read in a time that is linear in its length."""
        began = time.process_time()
        for piece in ('"', '",', 'a="', ";", "for=", ",", " ", "\t", '"a'):
            text = piece * (16384 // len(piece))
            list(client_addresses(Source(x_forwarded_for=text)))
            list(client_addresses(Source(forwarded=text)))
        self.assertLess(time.process_time() - began, 2)


class OwnOriginTests(SynchronousTestCase):
    """Pages of the monitor itself."""

    def is_own(self, *, secure: bool = False, proxied: bool = False, **headers: Any) -> bool:
        """Whether a request with these headers is of an own page."""
        source = Source(**{"host": "m.example", **headers})
        return is_own_origin(source, is_secure=secure, is_proxied=proxied)

    def test_host(self) -> None:
        """The origin has the host and port that are asked, in any case, with any default port."""
        for host, origin, own in (
            ("m.example", "http://m.example", True),
            ("m.example", "https://m.example", True),
            ("M.example:443", "https://m.EXAMPLE", True),
            ("m.example", "https://m.example:443", True),
            ("m.example:80", "https://m.example", False),
            ("m.example:4567", "http://m.example:4567", True),
            ("m.example:4567", "http://m.example", False),
            ("[::1]:4567", "http://[::1]:4567", True),
            ("m.example", "http://evil.example", False),
            ("m.example", "http://m.example.evil", False),
            ("m.example", "ftp://m.example", False),
            ("m.example", "m.example", False),
            ("null", "null", False),
            ("", "http://", False),
        ):
            self.assertEqual(self.is_own(host=host, origin=origin), own, (host, origin))

    def test_scheme(self) -> None:
        """Where TLS is known to be used, a page without TLS is another one."""
        page, secure = "http://m.example", "https://m.example"
        self.assertFalse(self.is_own(secure=True, origin=page))
        self.assertTrue(self.is_own(secure=True, origin=secure))
        for proto in ("https", "wss", "HTTPS, http"):
            self.assertFalse(self.is_own(proxied=True, origin=page, x_forwarded_proto=proto))
            self.assertTrue(self.is_own(proxied=True, origin=secure, x_forwarded_proto=proto))
            self.assertTrue(self.is_own(origin=page, x_forwarded_proto=proto))
        self.assertFalse(self.is_own(proxied=True, origin=page, forwarded="proto=https"))
        self.assertTrue(self.is_own(proxied=True, origin=page, x_forwarded_proto="http"))

    def test_proxy(self) -> None:
        """A trusted proxy tells the host that was asked, by either header."""
        tellings: tuple[dict[str, Any], ...] = (
            {"x_forwarded_host": "page.example"},
            {"x_forwarded_host": "page.example:443, m.internal"},
            {"forwarded": "for=192.0.2.7;host=page.example;proto=https"},
            {"forwarded": 'host="page.example:443"'},
        )
        for headers in tellings:
            origin = "https://page.example"
            self.assertTrue(self.is_own(proxied=True, origin=origin, **headers), headers)
            self.assertFalse(self.is_own(proxied=False, origin=origin, **headers), headers)

    def test_port_of_proxy(self) -> None:
        """A trusted proxy tells the port by X-Forwarded-Port; if it hides it, any port will do."""
        origin = "https://m.example:8443"
        cases: tuple[tuple[dict[str, Any], bool], ...] = (
            ({"x_forwarded_port": "8443"}, True),
            ({"x_forwarded_port": "443, 8443"}, True),
            ({"x_forwarded_port": "443"}, False),
            ({"x_forwarded_port": "port"}, True),
            ({"host": "m.example:4567", "x_forwarded_port": "8443"}, True),
            ({"host": "a:4567", "x_forwarded_host": "m.example", "x_forwarded_port": "8443"}, True),
            ({"host": "a:4567", "x_forwarded_host": "M.example"}, True),
            ({}, True),
            ({"host": "m.example:443"}, False),
            ({"x_forwarded_host": "m.example:443"}, False),
            ({"forwarded": "host=m.example:9443"}, False),
            ({"host": "other.example"}, False),
            ({"host": ""}, False),
        )
        for headers, own in cases:
            self.assertEqual(self.is_own(proxied=True, origin=origin, **headers), own, headers)
            self.assertFalse(self.is_own(origin=origin, **headers), headers)
        self.assertTrue(self.is_own(proxied=True, host="[::1]", origin="http://[::1]:8080"))


class RequestTests(ClientsTestCase):
    """Requests of clients behind a proxy, by all ways."""

    limits = {"max_connections_per_address": 1, "allowed_origins": ("https://a",)}  # noqa: RUF012

    def status(self, *lines: str, plain: bool = False) -> int:
        """The status of the answer to a handshake, or an event stream, with these headers."""
        browser = Browser(self.factory)
        if plain:
            return browser.get("/events/job", *lines).status
        added = "".join(f"{line}\r\n" for line in lines).encode()
        browser.send(HANDSHAKE[:-2] + added + b"\r\n")
        return int(browser.take().split()[1])

    def test_counted(self) -> None:
        """Clients are counted by the addresses that the proxy tells, in whatever form."""
        served = iter((101, 503, 503, 503, 503))
        for lines in (
            ("X-Forwarded-For: 192.0.2.7:5000",),
            ("X-Forwarded-For: 192.0.2.7:5001",),
            ("X-Forwarded-For: unknown", "X-Forwarded-For:\t192.0.2.7 ,"),
            ("x-forwarded-for: [::ffff:192.0.2.7]:1", "Forwarded: for=192.0.2.9"),
            ('Forwarded: for="192.0.2.9"', 'Forwarded: for="192.0.2.7:_x";proto=http'),
        ):
            expected = next(served)
            self.assertEqual(self.status(*lines), expected, lines)
            self.assertEqual(self.status(*lines, plain=True), 503, lines)
        self.assertEqual(self.status("Forwarded: for=192.0.2.8"), 101)

    def test_own_pages(self) -> None:
        """The monitor's own pages, and clients with an empty Origin, are served by all ways."""
        for number, (line, is_served) in enumerate(
            (
                ("Origin: http://monitor.example", True),
                ("Origin: https://monitor.example", True),
                ("Origin:", True),
                ("Origin: https://a", True),
                ("Origin: null", False),
                ("Origin: http://b", False),
            )
        ):
            for plain, ok in ((False, 101), (True, 200)):
                address = f"X-Forwarded-For: 192.0.2.{number}, 198.51.100.{number}{int(plain)}"
                status = self.status(line, address, plain=plain)
                self.assertEqual(status, ok if is_served else 403, (line, plain))
