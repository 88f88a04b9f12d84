"""The site of the public port: refusals, limits, and origins of pages."""

from recodex_monitor.clients.paths import FILES
from recodex_monitor.settings.schema import Limits
from tests.clients.site import ORIGIN, SiteTestCase
from tests.support.clients import Browser, service
from tests.support.http import request

LIMITS = Limits()
EXPOSED = "Retry-After, WWW-Authenticate"
PAGES = ("/", "/watch/job", "/board", *(f"/{name}" for name in FILES))
STREAMS = ("/events/job", "/channels/job", "/channels/job?wait=9")


class RefusalTests(SiteTestCase):
    """Requests that are refused."""

    def test_unknown_paths(self) -> None:
        """An unknown path gets 404, and nothing of the request is repeated."""
        others = ("*", "/ws", "/ws/", "/ws/event/job", "/ws/events/a/b")
        for path in ("/none", "/mychannels", "/web/", "/../web.py", *others):
            found = self.get(path)
            self.assertEqual((found.status, found.body[:14]), (404, b"404 Not Found\n"), path)
            self.assertIn(b"/events/CHANNEL", found.body)

    def test_counted(self) -> None:
        """Refusals are counted by reason, with what the last one was refused for."""
        for path, headers, reason, detail in (
            ("/ws/evnts/job", (), "not found", "'/ws/evnts/job'"),
            ("/", ("Origin: https://evil.example",), "origin not allowed", "evil.example"),
            ("/events/job", ("Origin: null",), "origin not allowed", "null"),
            ("/watch/", (), "bad channel id", ""),
            ("/", ("no header",), "bad request", ""),
            ("/", ("X: y", " folded"), "bad request", ""),
            ("/", ("X: " + "x" * 20_000,), "long head", ""),
        ):
            refused = self.factory.connections.refused
            before = refused.counts[reason]
            self.get(path, *headers)
            self.assertEqual(refused.counts[reason], before + 1, path)
            self.assertIn(detail, refused.details[reason])
        origins = [one.origin for one in self.factory.connections.refused_origins]
        self.assertEqual(origins, ["null", "https://evil.example"])

    def test_trial(self) -> None:
        """What is refused to a trial of ``doctor`` is not counted: it is in no statistics."""
        connections = self.factory.connections
        for path in ("/channels/doctor_1", "/ws/events/doctor_1"):
            self.assertEqual(self.get(path, "Origin: https://evil.example").status, 403)
        self.assertFalse(connections.refused.counts)
        self.assertEqual([*connections.refused_origins], [])

    def test_reasons(self) -> None:
        """A refusal tells a program by a text, and a browser's user by a page, what is wrong."""
        long = "/events/" + "x" * 600
        for path, headers, method, expected in (
            ("/none", (), "GET", "/watch/CHANNEL"),
            ("/watch/", (), "GET", "as in /watch/CHANNEL."),
            ("/channels/", (), "GET", "as in /channels/CHANNEL."),
            ("/ws/channels", (), "GET", "as in /channels/CHANNEL."),
            ("/events/%ff", (), "GET", "UTF-8"),
            (long, (), "GET", "longer than 512 bytes"),
            ("/channels/job?wait=999", (), "GET", "from 0 to 60"),
            ("/", (), "PUT", "GET, HEAD, OPTIONS"),
            ("/", ("Content-Length: 1",), "GET", "body"),
            ("/", ("Origin: https://evil.example",), "GET", "origin"),
            ("/", ("Host: b",), "GET", "Host"),
            ("/", ("no header",), "GET", "Name: value"),
            ("/", ("X: y",) * 501, "GET", "500 headers"),
            ("/channels/\xe9", (), "GET", "percent-encoded"),
            ("/", ("X: y", " folded"), "GET", "next line"),
            ("/", ("X: " + "x" * 20_000,), "GET", f"{LIMITS.max_handshake_size} bytes"),
        ):
            for accept, kind in (("*/*", "plain"), ("text/html,*/*;q=0.8", "html")):
                found = self.get(path, f"Accept: {accept}", *headers, method=method)
                self.assertGreaterEqual(found.status, 400)
                self.assertEqual(found.headers["content-type"], f"text/{kind}; charset=utf-8")
                self.assertIn(expected, found.body.decode(), path)
                self.assertTrue(found.is_whole)
                if method == "GET":
                    head = self.get(path, f"Accept: {accept}", *headers, method="HEAD")
                    self.assertEqual(head._replace(body=found.body, is_whole=True), found)

    def test_nothing_comes_back(self) -> None:
        """No part of a request is repeated in an answer, neither in its body nor in a header."""
        for path in ("/?redirect=http://evil.example/", "/evil", "/events/evil%ff"):
            browser = Browser(self.factory)
            browser.send(request(path, "X-Evil: evil"))
            self.assertNotIn(b"evil", browser.take())

    def test_bad_ids(self) -> None:
        """An id that is empty, is not UTF-8 or has broken escapes gets 400."""
        for root in ("/events/", "/channels/", "/watch/"):
            for quoted in ("", "%", "%4", "%zz", "%ff", "a%80", "?x"):
                self.assertEqual(self.get(root + quoted).status, 400, root + quoted)

    def test_long_ids(self) -> None:
        """An id with more bytes than the limit, counted without escapes, gets 414."""
        allowed = "%C4%8D" * (LIMITS.max_channel_id // 2)
        for root in ("/events/", "/channels/", "/watch/"):
            self.assertEqual(self.get(root + allowed).status, 200)
            self.assertEqual(self.get(root + allowed + "x").status, 414)

    def test_any_id(self) -> None:
        """An id may have any characters, even slashes."""
        for quoted in ("a/b", "a%2Fb", "a%00b", "%25", "a+b", "a;b=c"):
            self.assertEqual(self.get(f"/channels/{quoted}").status, 200)

    def test_methods(self) -> None:
        """Other methods get 405, and the methods that are allowed."""
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW", "get"):
            for path in (*PAGES, *STREAMS, "/none"):
                found = self.get(path, method=method)
                self.assertEqual(found.status, 405)
                self.assertEqual(found.headers["allow"], "GET, HEAD, OPTIONS")


class AdmissionTests(SiteTestCase):
    """Which pages may ask, and how many clients."""

    def test_pages_of_an_allowed_origin(self) -> None:
        """Such a page may read every answer, including errors and Retry-After."""
        for path, *more in (
            *((path,) for path in (*PAGES, *STREAMS, "/none", "/watch/")),
            *(("/", header) for header in ("Content-Length: 1", "Host: b")),
        ):
            headers = self.get(path, f"Origin: {ORIGIN}", *more).headers
            self.assertEqual(headers["access-control-allow-origin"], ORIGIN)
            self.assertEqual(headers["access-control-expose-headers"], EXPOSED)
            self.assertEqual(headers["vary"].split(", ")[0], "Origin")

    def test_other_pages(self) -> None:
        """Pages of other origins get 403 and may not read it, in a preflight request too."""
        for origin in ("https://evil.example", "null", f"{ORIGIN}.evil.example"):
            for path in (*PAGES, *STREAMS, "/none"):
                for method in ("GET", "HEAD", "OPTIONS"):
                    found = self.get(path, f"Origin: {origin}", method=method)
                    self.assertEqual(found.status, 403)
                    self.assertNotIn("access-control-allow-origin", found.headers)
        self.assertEqual(self.hub.channels["job"].subscriptions, set())

    def test_two_origins(self) -> None:
        """A request of two origins is invalid."""
        found = self.get("/", f"Origin: {ORIGIN}", f"Origin: {ORIGIN}")
        self.assertEqual(found.status, 400)

    def test_no_page(self) -> None:
        """A client without an origin is served; Vary says that the answer depends on it."""
        for path in (*PAGES, *STREAMS):
            found = self.get(path)
            self.assertEqual((found.status, found.headers["vary"].split(", ")[0]), (200, "Origin"))
            self.assertNotIn("access-control-allow-origin", found.headers)

    def test_options(self) -> None:
        """OPTIONS lists the allowed methods."""
        found = self.get("*", method="OPTIONS")
        self.assertEqual((found.status, found.headers["allow"]), (204, "GET, HEAD, OPTIONS"))

    def test_limit_of_connections(self) -> None:
        """A client beyond the limit gets 503 and when to try again; others count until they end."""
        self.clock, self.hub, self.factory = service(max_connections=1)
        for path in (*PAGES, *STREAMS, "/none"):
            served, refused = Browser(self.factory), Browser(self.factory)
            served.send(request(path))
            found = refused.get(path)
            self.assertEqual((found.status, found.headers["retry-after"]), (503, "30"))
            served.lose()
            refused.lose()
        self.assertEqual(self.get("/").status, 200)

    def test_limit_of_an_address(self) -> None:
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
