"""Requests and answers over plain HTTP, one on each connection."""

from recodex_monitor.settings.schema import Limits
from tests.clients.support import ClientsTestCase
from tests.support.clients import Browser
from tests.support.frames import HANDSHAKE
from tests.support.http import answer, request
from tests.support.messages import message

LIMITS = Limits()


class OneRequestTests(ClientsTestCase):
    """Connections that end with their answer."""

    def setUp(self) -> None:
        """Publish the first message of a job."""
        super().setUp()
        self.publish("STARTED")

    def test_one_request(self) -> None:
        """A connection ends with its answer; a second request is ignored."""
        for path in ("/", "/watch/job", "/watch.js", "/none", "/channels/job"):
            browser = Browser(self.factory)
            browser.send(request(path) * 2)
            found = answer(browser.take())
            self.assertTrue(found.is_whole)
            self.assertEqual(found.headers["connection"], "close")
            self.assertEqual(browser.ended, "closed")

    def test_talking_on(self) -> None:
        """What a client sends while it receives a stream is ignored."""
        browser = Browser(self.factory)
        browser.get("/events/job")
        for _ in range(100):
            browser.send(request("/channels/job") * 100)
        self.assertEqual(browser.take(), b"")
        self.hub.publish([message("job", "FINISHED")])
        body, is_whole = browser.more()
        self.assertIn(b"END", body)
        self.assertTrue(is_whole)


class VersionTests(ClientsTestCase):
    """Versions of HTTP in the request line."""

    def test_later(self) -> None:
        """A later HTTP/1 is answered as HTTP/1.1 is; what only looks like one gets 400."""
        for version, status in (("1.2", 200), ("1.9", 200), ("1.10", 400), ("1.x", 400)):
            browser = Browser(self.factory)
            browser.send(request("/watch.js", version=version))
            taken = browser.take()
            self.assertTrue(taken.startswith(b"HTTP/1.1 "), version)
            self.assertEqual(answer(taken).status, status, version)

    def test_handshake(self) -> None:
        """So is a handshake; the path and the headers stay as they came."""
        sent = HANDSHAKE.replace(b" HTTP/1.1\r\n", b" HTTP/1.2\r\nX: a HTTP/1.3\r\n", 1)
        browser = Browser(self.factory)
        browser.send(sent)
        self.assertTrue(browser.take().startswith(b"HTTP/1.1 101 "))


class BadRequestTests(ClientsTestCase):
    """Requests that are not HTTP, or have a body."""

    def status(self, data: bytes) -> int:
        """The status of the whole answer to what a new client sends."""
        browser = Browser(self.factory)
        browser.send(data)
        found = answer(browser.take())
        self.assertTrue(found.is_whole)
        self.assertEqual(browser.ended, "closed")
        return found.status

    def test_bodies(self) -> None:
        """A request with a body is refused at its first byte, and the rest is not waited for."""
        length, chunked = "Content-Length: 5", "Transfer-Encoding: chunked"
        bodies = (b"5\r\nh", b"1\r\nx\r\n0\r\n\r\n", b"1;a=b\r\n" + b"x" * 5000)
        for header, more in (
            *((length, body) for body in (b"", b"hello", b"x" * 5000)),
            *((chunked, body) for body in bodies),
        ):
            for method in ("GET", "HEAD", "OPTIONS"):
                browser = Browser(self.factory)
                browser.send(request("/", header, "Expect: 100-continue", method=method) + more)
                found = browser.take()
                self.assertTrue(found.startswith(b"HTTP/1.1 413 "), (header, more, found))
                self.assertEqual(found.count(b"HTTP/1.1"), 1)
                self.assertEqual(browser.ended, "closed")

    def test_empty_bodies(self) -> None:
        """An empty body is none, however it is framed, and in whatever pieces it comes."""
        heads = [request("/", "Content-Length: 0"), request("/channels/x", "Content-Length: 00")]
        chunked = request("/", "transfer-encoding: Chunked", "Expect: 100-continue")
        heads += [
            chunked + end + b"\r\n"
            for end in (b"0\r\n", b"000\r\n", b"0;a=b;c\r\n", b"0\r\nX-Trailer: y\r\nZ: w\r\n")
        ]
        for data in heads:
            self.assertEqual(self.status(data), 200, data)
            self.assertEqual(self.status(data + request("/none")), 200, data)
            browser = Browser(self.factory)
            for byte in data:
                browser.send(bytes([byte]))
            self.assertEqual(answer(browser.take()).status, 200, data)

    def test_bodies_that_do_not_come(self) -> None:
        """A chunked body that is never finished is bounded in time and in bytes."""
        head = request("/", "Transfer-Encoding: chunked")
        for more in (b"", b"0\r\n", b"0\r\nX: y\r\n"):
            browser = Browser(self.factory)
            browser.send(head + more)
            self.assertEqual(browser.take(), b"")
            self.pass_time(LIMITS.handshake_timeout + 1)
            self.assertEqual(browser.ended, "aborted")
        for data in (b"0\r\n" + b"X: y\r\n" * 10_000, b"0;" + b"a" * 100_000, b"zz\r\n"):
            browser = Browser(self.factory)
            browser.send(head)
            for start in range(0, len(data), 1000):
                if not browser.ended:
                    browser.send(data[start : start + 1000])
            found = answer(browser.take())
            self.assertEqual(browser.ended, "closed")
            self.assertIn(found.status, (400, 413))
            self.assertTrue(found.is_whole)

    def test_stop(self) -> None:
        """A client whose chunked body has not come yet does not keep the monitor from stopping."""
        browser = Browser(self.factory)
        browser.send(request("/", "Transfer-Encoding: chunked"))
        gone = self.factory.connections.close_all()
        found = answer(browser.take())
        self.assertEqual((found.status, found.headers["retry-after"]), (503, "30"))
        self.assertEqual(browser.ended, "closed")
        browser.lose()
        self.successResultOf(gone)

    def test_bad_requests(self) -> None:
        """A request that is not valid HTTP/1, or has not exactly one host, gets 400."""
        for data in (
            b"\r\n\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
            b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        ):
            self.assertEqual(self.status(data), 400, data)

    def test_old_protocol(self) -> None:
        """A request of HTTP/1.0 needs no host."""
        self.assertEqual(self.status(b"GET / HTTP/1.0\r\n\r\n"), 200)
