"""Handshakes of ordinary browsers, recognised without Autobahn."""

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.fast_path import ordinary, resume_point
from tests.support.clients import HANDSHAKE, Transport

CHROME = (
    b"GET /ws?after= HTTP/1.1\r\nHost: recodex.example.org:8080\r\nConnection: Upgrade\r\n"
    b"Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0\r\n"
    b"Upgrade: websocket\r\nOrigin: https://recodex.example.org\r\nSec-WebSocket-Version: 13\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: cs,en;q=0.9\r\n"
    b"Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
FIREFOX_BY_NGINX = (
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nHost: a\r\n"
    b"X-Forwarded-For: 198.51.100.7, 10.1.2.3\r\nCookie: a=b; c=d\r\nSec-WebSocket-Version: 13\r\n"
    b"Origin: http://localhost:3000\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
)
HEADS = (HANDSHAKE, CHROME, FIREFOX_BY_NGINX)


def by_autobahn(head: bytes) -> bytes:
    """What Autobahn by itself answers."""
    factory = WebSocketServerFactory(server="", reactor=Clock())
    factory.setProtocolOptions(allowNullOrigin=True, webStatus=False, openHandshakeTimeout=0)
    factory.protocol = WebSocketServerProtocol
    server = factory.buildProtocol(None)
    transport = Transport(server, isServer=True)
    server.makeConnection(transport)
    server.dataReceived(head)
    return b"".join(transport.stream)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A head with a few pieces cut out, doubled, or put in."""
    head = draw(st.sampled_from(HEADS))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(head)))
        stop = min(len(head), start + draw(st.integers(0, 30)))
        piece = draw(st.sampled_from((b"", head[start:stop] * 2, b"\r\n", b" ", b":", b"\x85")))
        head = head[:start] + piece + head[stop:]
    return head


class OrdinaryTests(SynchronousTestCase):
    """What is recognised."""

    def test_browsers(self) -> None:
        """The handshakes of browsers, straight and by a proxy, get Autobahn's answer."""
        for head in HEADS:
            request = ordinary(head + b"frames")
            assert request is not None
            self.assertEqual(request.answer, by_autobahn(head))
            self.assertEqual(request.length, len(head))

    def test_what_is_told(self) -> None:
        """Origin and X-Forwarded-For are told as they came, or as nothing."""
        request = ordinary(FIREFOX_BY_NGINX)
        assert request is not None
        self.assertEqual(request.forwarded_for, "198.51.100.7, 10.1.2.3")
        self.assertEqual(request.origin, "http://localhost:3000")
        request = ordinary(HANDSHAKE)
        assert request is not None
        self.assertEqual((request.forwarded_for, request.origin), ("", ""))

    def test_doubtful(self) -> None:
        """Whatever is not beyond doubt is left to Autobahn."""
        for old, new in (
            (b"GET ", b"POST "),
            (b" HTTP/1.1", b" HTTP/1.0"),
            (b" /ws", b" http://a/ws"),
            (b"/ws", b"/ws#part"),
            (b"Host: ", b"Host: a b"),
            (b"Host: ", b"Host: [::1]"),
            (b"Upgrade: websocket", b"Upgrade: h2c"),
            (b"Upgrade: websocket", b"Upgrade: h2c, websocket"),
            (b"Connection: Upgrade", b"Connection: close"),
            (b"Version: 13", b"Version: 8"),
            (b"ZQ==", b"Z==="),
            (b"\r\n\r\n", b"\r\nHost: b\r\n\r\n"),
            (b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n"),
            (b"\r\n\r\n", b"\r\nOrigin: null\r\n\r\n"),
            (b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"),
            (b"\r\n\r\n", b"\r\n folded\r\n\r\n"),
            (b"\r\n\r\n", b"\r\nX: \xc2\x85\r\n\r\n"),
            (b"\r\n\r\n", b"\r\n"),
        ):
            self.assertIn(old, HANDSHAKE)
            self.assertIsNone(ordinary(HANDSHAKE.replace(old, new, 1)), new)

    @settings(deadline=None)
    @given(mutated())
    def test_never_more_than_autobahn(self, head: bytes) -> None:
        """What is accepted here Autobahn accepts too, with the same answer."""
        request = ordinary(head)
        if request is not None:
            self.assertEqual(request.answer, by_autobahn(head[: request.length]))


class ResumePointTests(SynchronousTestCase):
    """Where a client resumes."""

    def test_query(self) -> None:
        """The first ``after`` of the query counts, decoded; one without a value is empty."""
        for target, after in (
            ("/ws?after=a%3A1", "a:1"),
            ("/?x=1&after=a:1&after=b:2", "a:1"),
            ("/?after=", ""),
            ("/?after", ""),
            ("/?hereafter=a:1", None),
            ("/after=a:1", None),
            ("/?" + "x&" * 200 + "after=a:1", None),
            ("http://[/?after=a:1", None),
        ):
            self.assertEqual(resume_point(target), after, target)

    def test_ordinary_handshake(self) -> None:
        """A recognised handshake tells the path with its query."""
        request = ordinary(CHROME)
        assert request is not None
        self.assertEqual(request.target, "/ws?after=")
