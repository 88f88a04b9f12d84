"""What comes before the headers of a request, and what no request begins with."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.request_line import (
    MAX_SHOWN,
    empty_lines,
    lone_line_end,
    not_a_request,
    other_protocol,
)
from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser
from tests.support.frames import HANDSHAKE, TEXT, frame
from tests.support.http import answer, request

ZEROMQ = b"\xff\0\0\0\0\0\0\0\x01\x7f"
SSH = b"SSH-2.0-OpenSSH_9.2p1\r\n"
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
PEER = "192.0.2.9"


class RecognitionTests(SynchronousTestCase):
    """First bytes."""

    def test_other_protocols(self) -> None:
        """ZeroMQ and SSH are recognised, and told what is wrong."""
        for data, reason, expected in (
            (ZEROMQ, "ZeroMQ on the public port", "zeromq_uri"),
            (SSH, "SSH on the public port", "speaks SSH"),
        ):
            refused = other_protocol(data, PEER)
            assert refused is not None
            self.assertEqual(refused.reason, reason)
            self.assertIn(expected, str(refused))
            self.assertIn(PEER, str(refused))
        for data in (b"", b"\xff", b"S", b"SSH", request("/"), HTTP_2):
            self.assertIsNone(other_protocol(data, PEER))

    def test_requests(self) -> None:
        """Whatever may be a request, in any pieces, is none of its business."""
        for data in (
            HANDSHAKE,
            request("/channels/job"),
            request("/", method="M-SEARCH"),
            request("/", method="get"),
            b"GET http://monitor.example/ HTTP/1.1\r\nHost: monitor.example\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.1 \r\n\r\n",
            b"GET /a HTTP/2 HTTP/1.1\r\n\r\n",
            b"GET  / HTTP/1.1\r\n\r\n",
            b"get / http/1.1\r\n\r\n",
            b"\r\nGET / HTTP/1.1\r\n\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\nHost: a\n\n",
        ):
            for end in range(len(data) + 1):
                self.assertIsNone(not_a_request(data[:end], PEER), data[:end])

    def test_no_requests(self) -> None:
        """What can become no request is refused as soon as that is sure, with what it sent."""
        for data, certain, reason in (
            (b"GET /\r\n", 7, "no HTTP version"),
            (b"GET /channels/job\n", 18, "no HTTP version"),
            (b"\r\nget / \r\n", 10, "no HTTP version"),
            (HTTP_2, 16, "HTTP/2 without TLS"),
            (b"GET / HTTP/3\r\n", 14, "other HTTP version"),
            (b"GET / HTTP/0.9\r\n", 16, "other HTTP version"),
            (b"\r\n" * 3, 6, "no HTTP"),
            (b"EHLO mail.example\r\n", 19, "no HTTP"),
            (b"QUIT\r\n", 6, "no HTTP"),
            (b"GET\r\n", 5, "no HTTP"),
            (b"*1\r\n$4\r\nPING\r\n", 4, "no HTTP"),
            (b" GET / HTTP/1.1\r\n", 1, "no HTTP"),
            (b"<xml>", 1, "no HTTP"),
            (b"\0\0\0\x85\xffSMB", 1, "no HTTP"),
            (b"\x03\0\0\x13\x0e\xe0", 1, "no HTTP"),
            (b"GE\xffT / HTTP/1.1\r\n", 3, "no HTTP"),
            (b"GET\t/ HTTP/1.1\r\n", 4, "no HTTP"),
        ):
            self.assertIsNone(not_a_request(data[: certain - 1], PEER), data)
            for end in {certain, len(data)}:
                refused = not_a_request(data[:end], PEER)
                self.assertEqual(refused and refused.reason, reason, data)

    def test_shown(self) -> None:
        """The log shows the beginning of the line, without what a terminal would obey."""
        refused = not_a_request(b"\x1b[2J" + b"x" * 1000, PEER)
        self.assertIn(f"{PEER} sent '\\x1b[2J", str(refused))
        self.assertLess(len(str(refused)), MAX_SHOWN + 50)
        assert refused is not None
        self.assertNotIn("2J", refused.text)

    def test_empty_lines(self) -> None:
        """Two empty lines before a request are ignored, and no line of it."""
        for data, length in (
            (b"", 0),
            (b"\r", 0),
            (b"\r\n", 2),
            (b"\r\n\r", 2),
            (b"\r\n\r\nGET", 4),
            (b"\r\n\r\n\r\n", 4),
            (b"\n\r\n", 0),
            (request("/"), 0),
        ):
            self.assertEqual(empty_lines(data), length, data)

    @given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"bc"])), st.integers(1, 3))
    def test_lone_line_end(self, parts: list[bytes], size: int) -> None:
        """CR without LF, and LF without CR, are found in any pieces, and CR LF is none of them."""
        data = b"".join(parts)
        is_lone = bool(set(data.removesuffix(b"\r").replace(b"\r\n", b"")) & set(b"\r\n"))
        found = [lone_line_end(data[: start + size], start) for start in range(0, len(data), size)]
        self.assertEqual(any(found), is_lone)


class AnswerTests(ClientsTestCase):
    """What a client gets."""

    def refused(self, data: bytes, size: int) -> tuple[bytes, str]:
        """The answer to bytes that come in pieces, and the reason that was counted."""
        browser = Browser(self.factory)
        before = dict(self.factory.connections.refused.counts)
        for start in range(0, len(data), size):
            if not browser.ended:
                browser.send(data[start : start + size])
        self.assertEqual(browser.ended, "closed", data)
        counts = self.factory.connections.refused.counts
        (reason,) = [one for one, count in counts.items() if count > before.get(one, 0)]
        return browser.take(), reason

    def test_at_once(self) -> None:
        """It gets an answer and is closed as soon as its mistake shows, in whatever pieces."""
        for data, status, reason in (
            (b"GET /channels/job\r\n", 400, "no HTTP version"),
            (HTTP_2, 505, "HTTP/2 without TLS"),
            (b"HELP\r\n", 400, "no HTTP"),
            (b"GET / HTTP/1.1\nHost: a\n\n", 400, "lone CR or LF"),
            (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "lone CR or LF"),
            (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400, "lone CR or LF"),
            (HANDSHAKE.replace(b"\r\n", b"\n"), 400, "lone CR or LF"),
            (HANDSHAKE.replace(b"\r\nUpgrade", b"\nUpgrade"), 400, "lone CR or LF"),
        ):
            for size in (1, 3, len(data)):
                answered, counted = self.refused(data, size)
                self.assertEqual(counted, reason, data)
                found = answer(answered)
                self.assertEqual((found.status, found.is_whole), (status, True))

    def test_no_answer(self) -> None:
        """Where HTTP is not understood the connection is closed without an answer."""
        for data, reason in (
            (ZEROMQ, "ZeroMQ on the public port"),
            (SSH, "SSH on the public port"),
        ):
            self.assertEqual(self.refused(data, len(data)), (b"", reason))

    def test_head(self) -> None:
        """The refusal of a HEAD has no body, also after an empty line."""
        for before in (b"", b"\r\n"):
            answered, _ = self.refused(before + b"HEAD / HTTP/1.1\nHost: a\n\n", 5)
            self.assertTrue(answered.endswith(b"\r\n\r\n"), answered)

    def test_after_empty_lines(self) -> None:
        """A request or handshake after empty lines is served, in whatever pieces."""
        for data, expected in (
            (request("/channels/job"), b"HTTP/1.1 200 "),
            (HANDSHAKE, b"HTTP/1.1 101 "),
        ):
            for lines in (b"\r\n", b"\r\n\r\n"):
                for size in (1, 3, 1000):
                    browser = Browser(self.factory)
                    sent = lines + data
                    for start in range(0, len(sent), size):
                        browser.send(sent[start : start + size])
                    self.assertTrue(browser.take().startswith(expected), (data, lines, size))

    def test_frames(self) -> None:
        """What follows the head of a handshake may have any bytes."""
        browser = Browser(self.factory)
        browser.send(b"\r\n" + HANDSHAKE + frame(TEXT, b"job", mask=b"\n\r\n\r"))
        self.assertTrue(browser.take().startswith(b"HTTP/1.1 101 "))
        self.assertIsNone(browser.ended)
