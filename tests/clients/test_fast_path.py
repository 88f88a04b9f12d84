"""Handshakes and frames of ordinary browsers, parsed without Autobahn."""

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.frames import TEXT
from recodex_monitor.clients.fast_path import (
    CLOSE,
    PONG,
    is_utf8,
    lone_frame,
    ordinary_handshake,
)
from recodex_monitor.clients.forwarded import Source
from recodex_monitor.clients.handshake import Handshake
from tests.support.clients import Transport
from tests.support.frames import HANDSHAKE, frame

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
    """Autobahn's own answer."""
    factory = WebSocketServerFactory(server="", reactor=Clock())
    factory.setProtocolOptions(allowNullOrigin=True, webStatus=False, openHandshakeTimeout=0)
    factory.protocol = WebSocketServerProtocol
    server = factory.buildProtocol(None)
    transport = Transport(server, isServer=True)
    server.makeConnection(transport)
    server.dataReceived(head)
    return b"".join(transport.stream)


def ordinary(data: bytes) -> tuple[Handshake, int]:
    """What a handshake says, which must be ordinary, and the bytes of its head."""
    found = ordinary_handshake(data)
    assert found is not None
    return found


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A head with a few pieces removed, doubled or inserted."""
    head = draw(st.sampled_from(HEADS))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(head)))
        stop = min(len(head), start + draw(st.integers(0, 30)))
        piece = draw(st.sampled_from((b"", head[start:stop] * 2, b"\r\n", b" ", b":", b"\x85")))
        head = head[:start] + piece + head[stop:]
    return head


class OrdinaryTests(SynchronousTestCase):
    """Handshakes that are parsed."""

    def test_browsers(self) -> None:
        """Handshakes of browsers, direct or proxied, get the answer that Autobahn gives."""
        for head in HEADS:
            handshake, length = ordinary(head + b"frames")
            self.assertEqual(handshake.answer, by_autobahn(head))
            self.assertEqual(length, len(head))

    def test_headers(self) -> None:
        """Origin and X-Forwarded-For are returned unchanged, or empty if they are missing."""
        handshake, _ = ordinary(FIREFOX_BY_NGINX)
        self.assertEqual(handshake.source.x_forwarded_for, "198.51.100.7, 10.1.2.3")
        self.assertEqual(handshake.source.origin, "http://localhost:3000")
        handshake, _ = ordinary(HANDSHAKE)
        self.assertEqual(handshake.source, Source(host="monitor.example"))

    def test_doubtful(self) -> None:
        """A handshake that is unusual in any way is left to others."""
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
            self.assertIsNone(ordinary_handshake(HANDSHAKE.replace(old, new, 1)), new)

    @settings(deadline=None)
    @given(mutated())
    def test_never_more_than_autobahn(self, head: bytes) -> None:
        """Autobahn accepts every handshake that is accepted here, with the same answer."""
        handshake, length = ordinary_handshake(head) or (None, 0)
        if handshake is not None:
            self.assertEqual(handshake.answer, by_autobahn(head[:length]))

    def test_target(self) -> None:
        """The target is the path with its query."""
        handshake, _ = ordinary(CHROME)
        self.assertEqual(handshake.target, "/ws?after=")


class LoneFrameTests(SynchronousTestCase):
    """Frames that are parsed without Autobahn."""

    @given(
        st.sampled_from((TEXT, CLOSE, PONG)),
        st.binary(max_size=125),
        st.binary(min_size=4, max_size=4),
    )
    def test_small_frames(self, first: int, payload: bytes, mask: bytes) -> None:
        """A small masked frame is parsed, whatever its mask."""
        self.assertEqual(lone_frame(frame(first & 15, payload, mask)), (first, payload))

    def test_anything_else(self) -> None:
        """Longer, unmasked, incomplete and several frames are left to Autobahn."""
        for data in (
            b"",
            b"\x81",
            frame(1, b"x" * 126),
            frame(1, b"job", mask=None),
            frame(1, b"job")[:-1],
            frame(1, b"job") + b"\x81",
            frame(1, b"job") * 2,
        ):
            self.assertIsNone(lone_frame(data), data)

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are exactly one whole frame, or left to Autobahn."""
        found = lone_frame(data)
        if found is not None:
            self.assertEqual(len(found[1]), len(data) - 6)


class Utf8Tests(SynchronousTestCase):
    """Payloads of text frames."""

    def test_valid(self) -> None:
        """UTF-8 is recognised, also with characters of several bytes."""
        for payload in (b"", b"job", "č€😀".encode()):
            self.assertTrue(is_utf8(payload), payload)

    def test_invalid(self) -> None:
        """Truncated, overlong and surrogate sequences are no UTF-8."""
        for payload in (b"\xff", b"\xc4", b"\xc0\x80", b"\xed\xa0\x80"):
            self.assertFalse(is_utf8(payload), payload)
