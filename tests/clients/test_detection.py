"""Which protocol a client speaks, by the head of its request."""

import weakref

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.request_line import SSH, ZEROMQ
from tests.support.clients import Browser, service
from tests.support.frames import HANDSHAKE, TEXT, frame
from tests.support.http import answer, request
from tests.support.messages import message

GET = request("/channels/job")
LINES = (
    *(b"GET /events/job HTTP/1.1", b"GET / HTTP/1.1", b"HEAD / HTTP/1.0", b"Host: a", b""),
    *(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13", b"\xff"),
    *(b"Content-Length: 1", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b" folded"),
)


class DetectionTests(SynchronousTestCase):
    """Heads of requests."""

    def setUp(self) -> None:
        """A service with a channel."""
        _, self.hub, self.factory = service()
        self.hub.publish([message("job", "STARTED")])

    def test_by_the_head(self) -> None:
        """A head with the header Upgrade is a WebSocket's, at any path; others are plain HTTP."""
        for path in (b"/ws", b"/events/job", b"/channels/job", b"/"):
            browser = Browser(self.factory)
            head = HANDSHAKE.replace(b"/ws", path).replace(b"Upgrade:", b"uPGRADE:")
            browser.send(head + frame(TEXT, b"job"))
            self.assertIn(b'{"command": "STARTED"}', browser.take())
        for header in ("X-Upgrade: websocket", "X: Upgrade: websocket"):
            self.assertEqual(Browser(self.factory).get("/channels/job", header).status, 200)

    def test_byte_by_byte(self) -> None:
        """A head may come in any pieces, for WebSocket and plain HTTP."""
        for head, status in ((HANDSHAKE, 101), (GET, 200)):
            browser = Browser(self.factory)
            for byte in head[:-1]:
                browser.send(bytes([byte]))
            self.assertEqual(browser.take(), b"")
            browser.send(head[-1:])
            self.assertEqual(int(browser.take().split()[1]), status)

    def test_head_and_more_in_pieces(self) -> None:
        """Data after the head, in the packet with its end, is not lost."""
        data = HANDSHAKE + frame(TEXT, b"job")
        for cut in range(len(HANDSHAKE) - 5, len(HANDSHAKE) + 5):
            browser = Browser(self.factory)
            browser.send(data[:cut])
            browser.send(data[cut:])
            self.assertIn(b'{"command": "STARTED"}', browser.take())

    def test_nothing_stays(self) -> None:
        """Nothing is left of the objects that waited for the head."""
        for head in (HANDSHAKE, request("/events/job")):
            browser = Browser(self.factory)
            first = weakref.ref(browser.server)
            browser.send(head[:1])
            self.assertIsNone(first())
            waiting = weakref.ref(browser.server)
            browser.send(head[1:])
            self.assertIsNone(waiting())
            self.assertEqual(len(self.factory.connections.clients), 1)
            browser.lose()

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.sampled_from(LINES) | st.binary(max_size=20), max_size=8))
    def test_every_head_is_answered(self, lines: list[bytes]) -> None:
        """A head of any lines is answered, and the connection is closed or a stream.

        If it promises a chunked body, that has to come first. What begins as TLS gets an alert,
        ZeroMQ and SSH get nothing, and empty lines alone are the beginning of a request.
        """
        browser = Browser(self.factory)
        browser.send(b"\r\n".join(lines) + b"\r\n\r\n")
        data = browser.take()
        if not data and not any(lines):
            browser.send(b"\r\n")
            data = browser.take()
        if not data and b"Transfer-Encoding: chunked" in lines:
            browser.send(b"0\r\n\r\n")
            data = browser.take()
        first = lines[0] if lines else b""
        expected = b"\x15\x03" if first[:1] == b"\x16" else b"HTTP/1."
        if first.startswith((ZEROMQ, SSH)):
            expected = b""
        self.assertTrue(data.startswith(expected), (lines, data))
        is_stream = b"text/event-stream" in data
        self.assertEqual(browser.ended, None if is_stream else "closed", data)
        self.assertNotIn(b"raceback", data)
        browser.lose()


class BoundTests(SynchronousTestCase):
    """How much of a head is read."""

    def test_long_head(self) -> None:
        """A head beyond the limit gets 431, in one packet or many; one at the limit is served."""
        for head in (HANDSHAKE, GET):
            _, _, factory = service(max_handshake_size=2000)
            padding = b"X: " + b"x" * (2000 - len(head) - 5) + b"\r\n"
            for data in (padding, b"X" + padding):
                padded = head[:-2] + data + b"\r\n"
                whole, pieces = Browser(factory), Browser(factory)
                whole.send(padded + b"x" * 3000)
                for start in range(0, len(padded), 100):
                    if not pieces.ended:
                        pieces.send(padded[start : start + 100])
                for browser in (whole, pieces):
                    served = browser.take().startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 200 "))
                    self.assertEqual(served, len(padded) == 2000)

    def test_endless_head(self) -> None:
        """A head that does not end gets 431 at the limit."""
        _, _, factory = service(max_handshake_size=2000)
        browser = Browser(factory)
        browser.send(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000)
        refused = answer(browser.take())
        self.assertEqual((refused.status, refused.is_whole), (431, True))
        self.assertEqual(browser.ended, "closed")
