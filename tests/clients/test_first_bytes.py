"""Protocols that the public port does not speak as it is set."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.first_bytes import (
    PROXY_V2,
    answer_to,
    refusal_on_plain_port,
    refusal_on_tls_port,
)
from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser
from tests.support.http import answer, request

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 500
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 4567\r\n"
V2 = PROXY_V2 + b"\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x13\x88\x11\xd7"


class RecognitionTests(SynchronousTestCase):
    """What is recognised."""

    def test_plain_port(self) -> None:
        """TLS, both versions of the PROXY protocol, and what is no HTTP are; HTTP is not."""
        for data, reason in (
            (HELLO, "TLS on the plain port"),
            (HELLO[:1], "TLS on the plain port"),
            (V1, "PROXY protocol"),
            (V2, "PROXY protocol"),
            (V2[:5], "PROXY protocol"),
            (b"\xff\0\0", "ZeroMQ on the public port"),
            (b"SSH-2.0-x\r\n", "SSH on the public port"),
            (b"GET /\r\n", "no HTTP version"),
            (b"P", None),
            (b"PROXYING / HTTP/1.1", None),
            (b"\r\n\r\n", None),
            (request("/"), None),
            (b"", None),
        ):
            refused = refusal_on_plain_port(data, "192.0.2.9")
            self.assertEqual(refused and refused.reason, reason, data)

    def test_tls_port(self) -> None:
        """HTTP and the PROXY protocol are; TLS, and what TLS has alerts for, are not."""
        for data, reason in (
            (request("/"), "plain HTTP on the TLS port"),
            (b"\r\nGET / HTTP/1.1", "plain HTTP on the TLS port"),
            (V1, "PROXY protocol"),
            (V2, "PROXY protocol"),
            (b"G", "plain HTTP on the TLS port"),
            (b"\n", "plain HTTP on the TLS port"),
            (b"1", "no TLS on the TLS port"),
            (b" ", "no TLS on the TLS port"),
            (b"\0", "no TLS on the TLS port"),
            (b"\x15\x03", "no TLS on the TLS port"),
            (b"\xff\0\0", "ZeroMQ on the public port"),
            (b"SSH-2.0-x\r\n", "SSH on the public port"),
            (b"PRI * HTTP/2.0\r\n", "plain HTTP on the TLS port"),
            (HELLO, None),
            (HELLO[:1], None),
            (b"\x80\x2e\x01", None),
        ):
            refused = refusal_on_tls_port(data, "192.0.2.9")
            self.assertEqual(refused and refused.reason, reason, data)

    def test_texts(self) -> None:
        """The log and the answer name the client and the setting that is wrong."""
        for data, setting in ((HELLO, "websocket_tls"), (V1, "websocket_proxy_protocol: true")):
            refused = refusal_on_plain_port(data, "192.0.2.9")
            assert refused is not None
            for text in (str(refused), refused.text):
                self.assertIn(setting, text)
                self.assertIn("192.0.2.9", text)
        refused = refusal_on_tls_port(b"GET / ", "192.0.2.9")
        assert refused is not None
        self.assertIn(b"https://", answer_to(refused, b"GET / "))


class AnswerTests(ClientsTestCase):
    """Answers on the plain port."""

    def test_at_once(self) -> None:
        """The answer comes with the first bytes, in whatever pieces; the connection is closed."""
        for data, reason in ((HELLO, "TLS on the plain port"), (V1, "PROXY protocol")):
            for size in (1, 4, len(data)):
                browser = Browser(self.factory)
                before = self.factory.connections.refused.counts[reason]
                for start in range(0, len(data), size):
                    if not browser.ended:
                        browser.send(data[start : start + size])
                self.assertEqual(browser.ended, "closed")
                self.assertEqual(self.factory.connections.refused.counts[reason], before + 1)
                answered = browser.take()
                if data is HELLO:
                    self.assertEqual(answered[:3] + answered[5:], b"\x15\x03\x01\x02\x28")
                else:
                    self.assertEqual(answer(answered).status, 400)
                    self.assertIn(b"trusted_proxies", answered)
