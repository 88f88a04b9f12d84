"""Plain HTTP on the public port, with clients in memory."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.site import FOLDER, Web
from recodex_monitor.clients.streams import EventStream
from recodex_monitor.settings.schema import Limits
from tests.support.clients import Answer, Browser, answer, message, request, service

LIMITS = Limits()
ORIGIN = "https://recodex.example.org"
PAGES = ("/", "/progress.js", "/watch/job", "/watch.js", "/watch.css")
STREAMS = ("/events/job", "/channels/job", "/channels/job?wait=9")


class WebTestCase(SynchronousTestCase):
    """A service, and its clients over plain HTTP."""

    def setUp(self) -> None:
        """A service with a running job, for which one origin is allowed."""
        self.clock, self.hub, self.factory = service(allowed_origins=(ORIGIN,))
        self.hub.publish([message("job", "STARTED")])

    def get(self, path: str, *headers: str, method: str = "GET", version: str = "1.1") -> Answer:
        """What a client of its own gets at once."""
        return Browser(self.factory).get(path, *headers, method=method, version=version)

    def status(self, data: bytes) -> int:
        """The status of the answer to what a client of its own sends, which must be whole."""
        browser = Browser(self.factory)
        browser.send(data)
        found = answer(browser.take())
        self.assertTrue(found.is_whole)
        self.assertEqual(browser.ended, "closed")
        return found.status


class PageTests(WebTestCase):
    """Pages and scripts."""

    def test_content(self) -> None:
        """Each file is served as it is in the package, with its type."""
        types = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
        names = ("index.html", "progress.js", "watch.html", "watch.js", "watch.css")
        for path, name in zip(PAGES, names, strict=True):
            found = self.get(path)
            self.assertEqual((found.status, found.is_whole), (200, True))
            self.assertEqual(found.body, (FOLDER / name).read_bytes())
            expected = types[name.partition(".")[2]] + "; charset=utf-8"
            self.assertEqual(found.headers["content-type"], expected)

    def test_all_is_served(self) -> None:
        """There is no file in the package that nobody can get."""
        bodies = [self.get(path).body for path in PAGES]
        self.assertCountEqual(bodies, [file.read_bytes() for file in FOLDER.iterdir()])

    def test_policy(self) -> None:
        """A page runs our scripts only, no page frames it, no browser guesses its type."""
        for path in PAGES:
            headers = self.get(path).headers
            policy = headers["content-security-policy"].split("; ")
            for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
                self.assertIn(part, policy)
            self.assertEqual(headers["x-content-type-options"], "nosniff")

    def test_cached(self) -> None:
        """Who has the file as it is gets 304, who has another the file."""
        for path in PAGES:
            first = self.get(path)
            self.assertEqual(first.headers["cache-control"], "no-cache")
            tag = first.headers["etag"]
            for header in (f"If-None-Match: {tag}", f'If-None-Match: "x", {tag}'):
                again = self.get(path, header)
                self.assertEqual((again.status, again.body), (304, b""), header)
            self.assertEqual(self.get(path, 'If-None-Match: "x"').body, first.body)

    def test_absolute_form(self) -> None:
        """A request that names the host in its target, as to a proxy, is served alike."""
        for path, target in (("/", "http://a"), ("/watch.js", "https://a:1/watch.js")):
            self.assertEqual(self.get(target).body, self.get(path).body)


class AnswerTests(WebTestCase):
    """What holds for all answers."""

    def test_one_request(self) -> None:
        """A connection ends with its answer; what a client has sent behind it is not looked at."""
        for path in (*PAGES, "/none", "/channels/job"):
            browser = Browser(self.factory)
            browser.send(request(path) * 2)
            found = answer(browser.take())
            self.assertTrue(found.is_whole)
            self.assertEqual(found.headers["connection"], "close")
            self.assertEqual(browser.ended, "closed")

    def test_talking_on(self) -> None:
        """What a client sends while it gets a stream is not looked at."""
        browser = Browser(self.factory)
        browser.get("/events/job")
        for _ in range(100):
            browser.send(request("/channels/job") * 100)
        self.assertEqual(browser.take(), b"")
        self.hub.publish([message("job", "FINISHED")])
        body, is_whole = browser.more()
        self.assertIn(b"END", body)
        self.assertTrue(is_whole)

    def test_head(self) -> None:
        """HEAD gets the headers of GET and nothing more; it follows no channel."""
        for path in (*PAGES, *STREAMS, "/none", "/channels/job?wait=x"):
            browser = Browser(self.factory)
            browser.send(request(path, method="HEAD"))
            head = browser.take()
            self.assertTrue(head.endswith(b"\r\n\r\n"))
            self.assertEqual(browser.ended, "closed")
            expected = self.get(path)
            expected.headers.pop("transfer-encoding", None)
            found = answer(head)
            for name in ("date", "content-length"):
                found.headers.pop(name, None)
                expected.headers.pop(name, None)
            self.assertEqual((found.status, found.headers), (expected.status, expected.headers))
        Browser(self.factory).get("/events/unheard", method="HEAD")
        self.assertEqual(set(self.hub.channels), {"job"})

    def test_no_version(self) -> None:
        """No answer tells by what software it was made."""
        for path in (*PAGES, *STREAMS, "/none"):
            headers = self.get(path).headers
            self.assertNotIn("server", headers)
            self.assertNotIn("x-powered-by", headers)

    def test_bug(self) -> None:
        """A bug of ours is told by 500 and in the log, and by no traceback to the client."""

        def serve(*_: object) -> None:
            raise KeyError("secret")

        self.patch(Web, "_serve", serve)
        found = self.get("/")
        self.assertEqual((found.status, found.is_whole), (500, True))
        self.assertNotIn(b"secret", found.body)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_bug_in_a_stream(self) -> None:
        """A stream that cannot begin is cut, and leaves nothing behind."""

        def opened(*_: object) -> None:
            raise KeyError

        self.patch(EventStream, "_opened", opened)
        browser = Browser(self.factory)
        browser.send(request("/events/x"))
        self.assertEqual(browser.ended, "aborted")
        browser.lose()
        self.assertEqual(set(self.hub.channels), {"job"})
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_bug_within_an_answer(self) -> None:
        """An answer that cannot go on is cut, so that nobody takes it for whole."""
        browser = Browser(self.factory)

        def serve(_: Web, served: object) -> None:
            served.write(b"half")  # type: ignore[attr-defined]
            raise KeyError

        self.patch(Web, "_serve", serve)
        browser.send(request("/"))
        self.assertFalse(answer(browser.take()).is_whole)
        self.assertEqual(browser.ended, "aborted")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class RefusalTests(WebTestCase):
    """Requests that are wrong."""

    def test_unknown_paths(self) -> None:
        """What is not there is 404, and nothing of the request comes back."""
        for path in ("/none", "/events", "/channels", "/watch", "/web/", "/../web.py", "*", "//"):
            found = self.get(path)
            self.assertEqual((found.status, found.body), (404, b"404 Not Found\n"), path)

    def test_nothing_comes_back(self) -> None:
        """What a request says is not in the answer, neither as a text nor as an address."""
        for path in ("/?redirect=http://evil.example/", "/evil", "/events/evil%ff"):
            browser = Browser(self.factory)
            browser.send(request(path, "X-Evil: evil"))
            self.assertNotIn(b"evil", browser.take())

    def test_bad_ids(self) -> None:
        """An id that is empty or no UTF-8, or whose escapes are broken, is 400."""
        for root in ("/events/", "/channels/", "/watch/"):
            for quoted in ("", "%", "%4", "%zz", "%ff", "a%80", "?x"):
                self.assertEqual(self.get(root + quoted).status, 400, root + quoted)

    def test_long_ids(self) -> None:
        """An id longer than the limit, counted in bytes and without escapes, is 414."""
        allowed = "%C4%8D" * (LIMITS.max_channel_id // 2)
        for root in ("/events/", "/channels/", "/watch/"):
            self.assertEqual(self.get(root + allowed).status, 200)
            self.assertEqual(self.get(root + allowed + "x").status, 414)

    def test_any_id(self) -> None:
        """An id may have any characters, slashes too."""
        for quoted in ("a/b", "a%2Fb", "a%00b", "%25", "a+b", "a;b=c"):
            self.assertEqual(self.get(f"/channels/{quoted}").status, 200)

    def test_methods(self) -> None:
        """Whatever would change something is 405, and told what would do."""
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW", "get"):
            for path in (*PAGES, *STREAMS, "/none"):
                found = self.get(path, method=method)
                self.assertEqual(found.status, 405)
                self.assertEqual(found.headers["allow"], "GET, HEAD, OPTIONS")

    def test_bodies(self) -> None:
        """A request with a body is refused, and the body is not waited for."""
        for header in ("Content-Length: 5", "Transfer-Encoding: chunked"):
            for method in ("GET", "HEAD", "OPTIONS"):
                for more in (b"", b"hello", b"x" * 5000):
                    data = request("/", header, "Expect: 100-continue", method=method)
                    browser = Browser(self.factory)
                    browser.send(data + more)
                    self.assertTrue(browser.take().startswith(b"HTTP/1.1 413 "))
                    self.assertEqual(browser.ended, "closed")
        self.assertEqual(self.get("/", "Content-Length: 0").status, 200)

    def test_bad_requests(self) -> None:
        """What is no request of HTTP/1 with one host is 400."""
        for data in (
            b"\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
            b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\r\n\r\n",
        ):
            self.assertEqual(self.status(data), 400, data)

    def test_old_protocol(self) -> None:
        """HTTP/1.0 needs no host."""
        self.assertEqual(self.status(b"GET / HTTP/1.0\r\n\r\n"), 200)


class AdmissionTests(WebTestCase):
    """Who may ask."""

    def test_pages_of_an_allowed_origin(self) -> None:
        """They may read every answer, errors and when to come again too."""
        for path in (*PAGES, *STREAMS, "/none"):
            headers = self.get(path, f"Origin: {ORIGIN}").headers
            self.assertEqual(headers["access-control-allow-origin"], ORIGIN)
            self.assertEqual(headers["access-control-expose-headers"], "Retry-After")
            self.assertEqual(headers["vary"], "Origin")

    def test_other_pages(self) -> None:
        """Pages of other origins get 403 and nothing to read, also when they ask beforehand."""
        for origin in ("https://evil.example", "null", f"{ORIGIN}.evil.example"):
            for path in (*PAGES, *STREAMS, "/none"):
                for method in ("GET", "HEAD", "OPTIONS"):
                    found = self.get(path, f"Origin: {origin}", method=method)
                    self.assertEqual(found.status, 403)
                    self.assertNotIn("access-control-allow-origin", found.headers)
        self.assertEqual(self.hub.channels["job"].subscriptions, set())

    def test_no_page(self) -> None:
        """Who is no page of another origin is served, and told that the answer depends on it."""
        for path in (*PAGES, *STREAMS):
            found = self.get(path)
            self.assertEqual((found.status, found.headers["vary"]), (200, "Origin"))
            self.assertNotIn("access-control-allow-origin", found.headers)

    def test_asking_beforehand(self) -> None:
        """A browser learns that an allowed page may GET, and say which event it had last."""
        asks = ("Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x")
        for path in STREAMS:
            found = self.get(path, f"Origin: {ORIGIN}", *asks, method="OPTIONS")
            self.assertEqual((found.status, found.body), (204, b""))
            self.assertEqual(found.headers["access-control-allow-origin"], ORIGIN)
            self.assertEqual(found.headers["access-control-allow-methods"], "GET")
            self.assertEqual(found.headers["access-control-allow-headers"], "Last-Event-ID")
        self.assertEqual(self.hub.channels["job"].subscriptions, set())

    def test_options(self) -> None:
        """OPTIONS says what may be asked."""
        found = self.get("*", method="OPTIONS")
        self.assertEqual((found.status, found.headers["allow"]), (204, "GET, HEAD, OPTIONS"))

    def test_places(self) -> None:
        """Without a place there is 503 and when to come again; a request gives its place back."""
        self.clock, self.hub, self.factory = service(max_connections=1)
        for path in (*PAGES, *STREAMS, "/none"):
            served, refused = Browser(self.factory), Browser(self.factory)
            served.send(request(path))
            found = refused.get(path)
            self.assertEqual((found.status, found.headers["retry-after"]), (503, "30"))
            served.lose()
            refused.lose()
        self.assertEqual(self.get("/").status, 200)

    def test_places_of_an_address(self) -> None:
        """The clients of a trusted proxy are counted by their own addresses."""
        self.clock, self.hub, self.factory = service(max_connections_per_address=1)
        peer = type("Peer", (), {"host": "127.0.0.1"})()

        def status(*addresses: str) -> int:
            browser = Browser(self.factory)
            browser.transport.peerAddress = peer
            headers = [f"X-Forwarded-For: {address}" for address in addresses]
            return browser.get("/events/job", *headers).status

        self.assertEqual(status("198.51.100.1"), 200)
        self.assertEqual(status("198.51.100.1"), 503)
        self.assertEqual(status("198.51.100.9", "198.51.100.1"), 503)
        self.assertEqual(status("198.51.100.1, 198.51.100.2"), 200)
        self.assertEqual(status(), 200)
