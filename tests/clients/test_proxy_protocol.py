"""The PROXY protocol of trusted proxies."""

from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.first_bytes import PROXY_V2
from recodex_monitor.clients.proxy_protocol import (
    ProxyProtocolFactory,
    client_address,
    header_length,
)
from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser, Transport
from tests.support.frames import HANDSHAKE, TEXT, frame
from tests.support.http import answer, request

V4 = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 4567\r\n"
V6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 5000 4567\r\n"
UNKNOWN = b"PROXY UNKNOWN\r\n"
TLV = b"\x04\x00\x03abc"


def version_2(command: int, family: int, addresses: bytes) -> bytes:
    """A header of version 2."""
    fixed = bytes([0x20 | command, family]) + len(addresses).to_bytes(2, "big")
    return PROXY_V2 + fixed + addresses


PORTS = b"\x13\x88\x11\xd7"
BINARY_V4 = version_2(1, 0x11, bytes([192, 0, 2, 7, 192, 0, 2, 1]) + PORTS + TLV)
BINARY_V6 = version_2(1, 0x21, b"\x20\x01\x0d\xb8" + bytes(11) + b"\7" + bytes(16) + PORTS)
LOCAL = version_2(0, 0, b"")
UNSPECIFIED = version_2(1, 0, b"")
UNIX = version_2(1, 0x31, bytes(216))
HEADERS = (
    (V4, "192.0.2.7"),
    (V6, "2001:db8::7"),
    (UNKNOWN, None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (BINARY_V4, "192.0.2.7"),
    (BINARY_V6, "2001:db8:0:0:0:0:0:7"),
    (LOCAL, None),
    (version_2(0, 0x11, bytes(12)), None),
    (UNSPECIFIED, None),
    (UNIX, None),
)


class TwistedTests(SynchronousTestCase):
    """The private parts of Twisted that read the headers."""

    def test_there(self) -> None:
        """This Twisted has them, in the form in which they are used."""
        for module, kind, header in (
            ("_v1parser", "V1Parser", V4[:-2]),
            ("_v2parser", "V2Parser", BINARY_V4),
        ):
            name = f"twisted.protocols.haproxy.{module}.{kind}"
            parser = namedAny(name)
            self.assertEqual(parser.parse(header).source.host, "192.0.2.7", name)
            error = namedAny("twisted.protocols.haproxy._exceptions.InvalidProxyHeader")
            self.assertRaises(error, parser.parse, b"x" * 16)


class HeaderTests(SynchronousTestCase):
    """Headers."""

    def test_valid(self) -> None:
        """Headers of both versions tell the address of the client, or that there is none."""
        for header, host in HEADERS:
            self.assertEqual(header_length(header + b"GET"), len(header), header)
            self.assertEqual(getattr(client_address(header), "host", None), host, header)

    def test_pieces(self) -> None:
        """The beginning of a header tells that more has to come."""
        for header, _ in HEADERS:
            for end in range(len(header)):
                length = header_length(header[:end])
                self.assertIn(length, (None, len(header)))

    def test_no_headers(self) -> None:
        """Everything else is found out at once, and a header of version 1 is bounded."""
        for data in (b"G", b"PROXZ", b"\x16", b"\r\n\r\nG", b"PROXY " + b"x" * 101):
            self.assertRaises(ValueError, header_length, data)

    def test_not_valid(self) -> None:
        """Headers with anything wrong in them are errors."""
        for header in (
            *(b"PROXY \r\n", b"PROXY TCP4\r\n", b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n"),
            *(b"PROXY TCP4 a b 1 1\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 x y\r\n"),
            *(b"PROXY TCP4 \xff 1.2.3.4 1 1\r\n", b"PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n"),
            *(version_2(1, 0x11, b""), version_2(2, 0x11, bytes(12)), version_2(1, 0x44, b"")),
            PROXY_V2 + b"\x11\x11\x00\x0c" + bytes(12),
        ):
            self.assertRaises(ValueError, client_address, header)

    @given(st.binary(max_size=64), st.sampled_from((b"PROXY ", b"PROXY TCP4 ", PROXY_V2, b"")))
    def test_any_bytes(self, data: bytes, begin: bytes) -> None:
        """Whatever comes, it is a header, the beginning of one, or an error."""
        try:
            length = header_length(begin + data)
            if length is not None and length <= len(begin + data):
                client_address((begin + data)[:length])
        except ValueError:
            pass


class Balancer(Browser):
    """A proxy, or another client, with this address, that connects to a monitor."""

    def __init__(self, factory: Any, host: str) -> None:
        address = IPv4Address("TCP", host, 5000)
        server = factory.buildProtocol(address)
        self.transport = Transport(server, isServer=True, peerAddress=address)
        server.makeConnection(self.transport)


class ConnectionTests(ClientsTestCase):
    """Connections to a monitor that reads the header from 10.0.0.0/8."""

    limits: dict[str, Any] = {  # noqa: RUF012
        "trusted_proxies": (ip_network("10.0.0.0/8"),),
        "max_connections_per_address": 1,
    }

    def setUp(self) -> None:
        """Read the header."""
        super().setUp()
        settings = self.factory.settings
        self.proxied = ProxyProtocolFactory(self.factory, self.factory.connections, settings)
        self.publish("STARTED")

    def connect(self, host: str = "10.0.0.1") -> Balancer:
        """A connection from this address."""
        return Balancer(self.proxied, host)

    def count(self, reason: str) -> int:
        """How many clients were refused for this reason."""
        return self.factory.connections.refused.counts[reason]

    def test_address(self) -> None:
        """Clients are counted by the address in the header; the proxy itself is not limited."""
        for header in (V4, BINARY_V6, UNKNOWN, UNKNOWN, LOCAL, LOCAL):
            client = self.connect()
            client.send(header + HANDSHAKE + frame(TEXT, b"job"))
            data = client.take()
            self.assertTrue(data.startswith(b"HTTP/1.1 101 "), data)
            self.assertIn(b"STARTED", data)
        for header in (V4, BINARY_V4, BINARY_V6):
            client = self.connect()
            client.send(header + HANDSHAKE)
            self.assertTrue(client.take().startswith(b"HTTP/1.1 503 "), header)

    def test_pieces(self) -> None:
        """The header, and what follows it, may come in any pieces."""
        for header in (V4, BINARY_V4):
            data = header + request("/channels/job")
            for size in (1, 3, len(header) - 1, len(header), len(header) + 1):
                client = self.connect()
                for start in range(0, len(data), size):
                    client.send(data[start : start + size])
                self.assertEqual(answer(client.take()).status, 200)
                client.lose()
        self.assertEqual(self.factory.connections.clients, set())

    def test_header_missing(self) -> None:
        """A trusted proxy that does not send the header is refused, and told what to set."""
        for data in (HANDSHAKE, request("/"), b"\x16\x03\x01", b"\0"):
            before = self.count("no PROXY protocol")
            client = self.connect()
            client.send(data)
            self.assertEqual(client.ended, "closed")
            self.assertEqual(self.count("no PROXY protocol"), before + 1)
            if data[0] != 0x16:
                self.assertIn(b"websocket_proxy_protocol", client.take())

    def test_bad_header(self) -> None:
        """A header that is not valid, or too long, is refused at once."""
        long = PROXY_V2 + b"\x21\x11\xff\xff"
        for data in (b"PROXY TCP4 a b 1 1\r\n", long, b"PROXY " + b"x" * 200):
            before = self.count("bad PROXY header")
            client = self.connect()
            client.send(data)
            self.assertEqual(client.ended, "closed")
            self.assertEqual(self.count("bad PROXY header"), before + 1)

    def test_others(self) -> None:
        """Others connect without the header; theirs is an error."""
        client = self.connect("192.0.2.9")
        self.assertEqual(client.get("/channels/job").status, 200)
        client = self.connect("192.0.2.9")
        client.send(V4 + request("/"))
        self.assertEqual(answer(client.take()).status, 400)
        self.assertEqual(self.count("PROXY protocol"), 1)

    def test_ends(self) -> None:
        """A proxy that does not send the header in time is cut off; others end with the monitor."""
        late = self.connect()
        late.send(V4[:9])
        self.pass_time(self.factory.settings.limits.handshake_timeout)
        self.assertEqual(late.ended, "aborted")
        late.lose()
        waiting, cut = self.connect(), self.connect()
        gone = self.factory.connections.close_all()
        self.assertEqual(answer(waiting.take()).status, 503)
        self.factory.connections.abort_all()
        self.assertEqual(cut.ended, "aborted")
        for one in (waiting, cut):
            one.lose()
        self.successResultOf(gone)
