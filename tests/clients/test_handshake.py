"""Handshakes of any client: which requests are such, what they may offer, and why others fail."""

from tests.clients.support import ClientsTestCase, StreamTestCase
from tests.support.clients import Browser
from tests.support.frames import HANDSHAKE, TEXT, frame
from tests.support.http import Answer, answer, request

EXTENSIONS = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
PATHS = ("/events/job", "/channels/job", "/", "/progress.js", "/watch/job", "/none")


class UpgradeTests(StreamTestCase):
    """The header Upgrade of requests."""

    def answered(self, data: bytes) -> Answer:
        """The answer to what a new client sends."""
        browser = Browser(self.factory)
        browser.send(data)
        return answer(browser.take())

    def test_other_protocols(self) -> None:
        """A request for another protocol is answered as if its header Upgrade were not there."""
        h2c = ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
        for headers in (
            ("Upgrade: h2c", *h2c),
            ("Upgrade: TLS/1.2, h2c", "Connection: Upgrade"),
            ("Upgrade: foo",),
            ("Upgrade:", "Connection: Upgrade"),
            ("Upgrade: h2c", "Upgrade: websockets, x-websocket, websocket/13, (websocket)"),
        ):
            for path in PATHS:
                for method in ("GET", "HEAD", "POST", "OPTIONS"):
                    expected = self.answered(request(path, method=method))
                    found = self.answered(request(path, *headers, method=method))
                    self.assertEqual(found, expected, (path, method, headers))

    def test_no_upgrade_possible(self) -> None:
        """In HTTP/1.0, and with other methods than GET, a handshake is a request like others."""
        headers = [line.decode() for line in HANDSHAKE.split(b"\r\n")[2:-2]]
        for path in PATHS:
            for method, version in (("GET", "1.0"), ("HEAD", "1.1"), ("POST", "1.1")):
                expected = self.answered(request(path, method=method, version=version))
                found = self.answered(request(path, *headers, method=method, version=version))
                self.assertEqual(found, expected, (path, method, version))

    def test_not_for_this_server(self) -> None:
        """Without Connection: Upgrade the header means nothing, unless a key shows that it was."""
        for connection in ((), ("Connection: keep-alive",), ("Connection: x-upgrade",)):
            for path in PATHS:
                expected = self.answered(request(path, *connection))
                found = self.answered(request(path, "Upgrade: websocket", *connection))
                self.assertEqual(found, expected, (path, connection))
                key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
                found = self.answered(request(path, "Upgrade: websocket", key, *connection))
                self.assertEqual(found.status, 400)
                self.assertIn(b"If a proxy is in between", found.body)

    def test_websocket_among_others(self) -> None:
        """A handshake that lists websocket among other protocols is accepted, in any case."""
        for upgrade in (b"h2c, websocket", b"WebSocket,h2c", b"h2c\r\nupgrade: websocket"):
            for connection in (b"keep-alive , uPGRADE", b"close\r\nConnection: upgrade"):
                head = HANDSHAKE.replace(b"e: websocket", b"e: " + upgrade)
                head = head.replace(b"Connection: Upgrade", b"Connection: " + connection)
                browser = Browser(self.factory)
                browser.send(head + frame(TEXT, b"job"))
                came = browser.take()
                self.assertTrue(came.startswith(b"HTTP/1.1 101 "), (head, came))
                self.assertIn(b'{"command": "STARTED"}', came)

    def test_empty_body(self) -> None:
        """A handshake may have an empty body, and frames in the same packet."""
        for header, body in (
            (b"Content-Length: 0", b""),
            (b"Transfer-Encoding: chunked", b"0\r\n\r\n"),
        ):
            head = HANDSHAKE[:-2] + header + b"\r\n\r\n" + body
            for packets in ((head + frame(TEXT, b"job"),), (head, frame(TEXT, b"job"))):
                browser = Browser(self.factory)
                for packet in packets:
                    browser.send(packet)
                self.assertIn(b'{"command": "STARTED"}', browser.take())
        for header in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
            head = HANDSHAKE[:-2] + header + b"\r\n\r\n5\r\nhello\r\n"
            self.assertEqual(self.answered(head).status, 413)


class OfferTests(ClientsTestCase):
    """Offers of extensions and of subprotocols, which are declined."""

    def test_offers(self) -> None:
        """Whatever is offered, in whatever form, the answer is 101 and names none of it."""
        deflate = b"Sec-WebSocket-Extensions: permessage-deflate"
        for offers in (
            deflate + b"; server_max_window_bits=8",
            deflate + b"; client_max_window_bits; client_max_window_bits=7; x=1",
            deflate + b"; server_no_context_takeover=1; server_no_context_takeover",
            deflate + b'; server_max_window_bits="10" ;client_max_window_bits = "x"',
            deflate + b", " + b"permessage-deflate; client_no_context_takeover\r\n" + deflate,
            b"Sec-WebSocket-Extensions: x-webkit-deflate-frame, permessage-bzip2; a, foo;b=c;b",
            b"Sec-WebSocket-Extensions: ,, permessage-brotli; =; \t;, \xff",
            b"Sec-WebSocket-Extensions:",
            b"Sec-WebSocket-Protocol: chat, chat, v2.chat\r\nSec-WebSocket-Protocol: chat",
            b"Sec-WebSocket-Protocol:",
        ):
            browser = Browser(self.factory)
            browser.send(HANDSHAKE.replace(EXTENSIONS, offers + b"\r\n"))
            found = answer(browser.take())
            self.assertEqual(found.status, 101, offers)
            self.assertEqual(set(found.headers), {"upgrade", "connection", "sec-websocket-accept"})


class InvalidTests(ClientsTestCase):
    """Handshakes that are refused."""

    def refused(self, old: bytes, new: bytes) -> Answer:
        """The answer to a handshake in which something was replaced."""
        self.assertIn(old, HANDSHAKE)
        browser = Browser(self.factory)
        browser.send(HANDSHAKE.replace(old, new))
        found = answer(browser.take())
        self.assertTrue(found.is_whole)
        self.assertEqual(browser.ended, "closed")
        return found

    def test_other_versions(self) -> None:
        """Any version but 13 gets 426, which names the version that is spoken."""
        for version in (b"8", b"0", b"013", b"+13", b"13.0", b"14", b"x", b"13, 8", b"13;"):
            found = self.refused(b"Version: 13", b"Version: " + version)
            self.assertEqual(found.status, 426, version)
            self.assertEqual(found.headers["sec-websocket-version"], "13")
            self.assertTrue(found.body.startswith(b"426 Upgrade Required\n"))
            self.assertEqual(found.headers["upgrade"], "websocket")
            self.assertIn("Upgrade", found.headers["connection"])
            self.assertIn(b"13", found.body)

    def test_missing_parts(self) -> None:
        """A handshake without one of its parts gets 400, and a text that names the part."""
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        for old, new, name in (
            (b"Connection: Upgrade\r\n", b"", b"Connection"),
            (b"Connection: Upgrade", b"Connection: close", b"Connection"),
            (b"Sec-WebSocket-Version: 13\r\n", b"", b"Sec-WebSocket-Version"),
            (key, b"", b"Sec-WebSocket-Key"),
            (key, key + key, b"Sec-WebSocket-Key"),
            (b"ZQ==", b"Z===", b"Sec-WebSocket-Key"),
            (b"dGhlIHNh", b"", b"Sec-WebSocket-Key"),
            (b"Host: monitor.example\r\n", b"", b"Host"),
            (b"Host: monitor.example", b"Host: a\r\nHost: b", b"Host"),
        ):
            found = self.refused(old, new)
            self.assertEqual(found.status, 400, new)
            self.assertIn(name, found.body)

    def test_origins(self) -> None:
        """Two origins are refused."""
        found = self.refused(b"\r\n\r\n", b"\r\nOrigin: http://a\r\nOrigin: http://b\r\n\r\n")
        self.assertEqual(found.status, 400)
