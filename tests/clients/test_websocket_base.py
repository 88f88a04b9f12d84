"""What connections share, what they drop, and handshakes that are refused."""

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import Browser, service
from tests.support.frames import HANDSHAKE, PING, TEXT, frame

CHANGEABLE = {"_valid_events", "_results"}
"""Shared attributes that could be changed, but are for listeners, of which there are none."""


class SharedAttributesTests(SynchronousTestCase):
    """Attributes of the class instead of the connection."""

    def test_shared_attributes_do_not_change(self) -> None:
        """No other shared attribute can be changed; fails if a new Autobahn adds one."""
        _, _, factory = service()
        changeable = {
            name
            for name, value in vars(factory.subscribers.protocol).items()
            if isinstance(value, list | dict | set | bytearray) or hasattr(value, "append")
        }
        self.assertEqual(changeable - set(WebSocketServerProtocol.CONFIG_ATTRS), CHANGEABLE)

    def test_connections_do_not_meet(self) -> None:
        """Fragments that two connections send alternately are not mixed up."""
        _, hub, factory = service()
        first, second = Browser(factory), Browser(factory)
        for browser in (first, second):
            browser.open()
        for part in (b"\x01\x82\0\0\0\0\xc3", b"\xc3"):
            first.send(part)
        second.send(b"\x01\x81\0\0\0\0x")
        first.send(b"\x80\x81\0\0\0\0y")
        second.send(b"\x80\x81\0\0\0\0y")
        self.assertEqual(first.close_code(), 1007)
        self.assertEqual(set(hub.channels), {"xy"})

    def test_little_is_kept(self) -> None:
        """A connection with a channel has few attributes, whoever handled its handshake."""
        _, _, factory = service()
        for head in (HANDSHAKE, HANDSHAKE.replace(b"Host: ", b"Host:  ")):
            browser = Browser(factory)
            browser.send(head)
            browser.send(frame(TEXT, b"job") + frame(PING))
            self.assertLessEqual(len(vars(browser.server)), 12)


class HandshakeTests(SynchronousTestCase):
    """Answers to handshakes."""

    def refusal(self, browser: Browser, head: bytes = HANDSHAKE) -> bytes:
        """The answer to a handshake that must be refused."""
        browser.send(head)
        self.assertEqual(browser.ended, "closed")
        return browser.take()

    def test_no_subprotocol_and_no_compression(self) -> None:
        """The answer names no subprotocol, no extension and no server software."""
        _, _, factory = service()
        browser = Browser(factory)
        browser.send(HANDSHAKE)
        answer = browser.take().lower()
        for header in (b"sec-websocket-protocol", b"sec-websocket-extensions", b"server:"):
            self.assertNotIn(header, answer)

    def test_too_many_clients(self) -> None:
        """A client beyond the limit gets 503 and when to try again; later ones are admitted."""
        _, _, factory = service(max_connections=1)
        first, second = Browser(factory), Browser(factory)
        first.open()
        answer = self.refusal(second)
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer)
        self.assertIn(b"Retry-After: 30\r\n", answer)
        first.lose()
        second.lose()
        Browser(factory).open()

    def test_other_origins(self) -> None:
        """A page whose origin is not allowed gets 403."""
        _, _, factory = service(allowed_origins=("https://recodex.example.org",))
        head = HANDSHAKE[:-2] + b"Origin: %s\r\n\r\n"
        answer = self.refusal(Browser(factory), head % b"https://evil.example")
        self.assertTrue(answer.startswith(b"HTTP/1.1 403 "), answer)
        allowed = Browser(factory)
        allowed.send(head % b"https://recodex.example.org")
        self.assertTrue(allowed.take().startswith(b"HTTP/1.1 101 "))

    def test_long_heads(self) -> None:
        """A head beyond the limit gets 431, in one packet or many; up to it a head may be long."""
        _, _, factory = service(max_handshake_size=2000)
        line = b"X: " + b"x" * 400 + b"\r\n"
        head = HANDSHAKE[:-2] + 5 * line + b"\r\n"
        answer = self.refusal(Browser(factory), head)
        self.assertTrue(answer.startswith(b"HTTP/1.1 431 "), answer)
        slow = Browser(factory)
        for byte in head[:2001]:
            slow.send(bytes([byte]))
        self.assertTrue(slow.take().startswith(b"HTTP/1.1 431 "))
        allowed = Browser(factory)
        allowed.send(HANDSHAKE[:-2] + 3 * line + b"\r\n" + frame(TEXT, b"x" * 50) + b"x" * 2000)
        self.assertTrue(allowed.take().startswith(b"HTTP/1.1 101 "))
