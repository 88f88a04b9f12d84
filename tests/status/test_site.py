"""The private listener, in memory."""

import json
import re

from recodex_monitor.status.site import MAX_BODY, MAX_CONNECTIONS, MAX_HEAD
from tests.status.site import Client, StatusTestCase

PROBES = {"/healthz", "/readyz", "/ownerz"}
OPEN = ("/healthz", "/readyz", "/metrics")
CLOSED = ("/", "/channels/job", "/api/status", "/api/channels", "/api/channels/job", "/api/events")


class AnswerTests(StatusTestCase):
    """What is where."""

    def test_health(self) -> None:
        """It is healthy as long as it answers."""
        self.assertEqual(self.get("/healthz").status, 200)

    def test_ready(self) -> None:
        """It is ready, or says in JSON why it is not, by 503."""
        self.assertEqual(json.loads(self.get("/readyz").body), {"ready": True, "why": []})
        self.why = ["the monitor stops"]
        got = self.get("/readyz")
        self.assertEqual(got.status, 503)
        self.assertEqual(json.loads(got.body), {"ready": False, "why": ["the monitor stops"]})

    def test_api(self) -> None:
        """Status and channels come as JSON."""
        self.assertIn("broker", json.loads(self.get("/api/status").body))
        (row,) = json.loads(self.get("/api/channels").body)["channels"]
        self.assertEqual(row["id"], "job")
        self.assertEqual(json.loads(self.get("/api/channels/job").body)["messages"], 1)

    def test_any_id(self) -> None:
        """An id may be any text, and an unknown one is no error."""
        ids = {"a%2Fb%20%C4%8D": "a/b č", "%FF": "\N{REPLACEMENT CHARACTER}"}
        for quoted, channel_id in ids.items():
            told = json.loads(self.get(f"/api/channels/{quoted}").body)
            self.assertEqual((told["id"], told["known"]), (channel_id, False))

    def test_pages(self) -> None:
        """Pages and what they load are there, and every file that they name."""
        for path in ("/", "/channels/job"):
            page = self.get(path)
            self.assertEqual((page.status, page.headers["content-type"][:9]), (200, "text/html"))
            for name in re.findall(r'(?:src|href)="(/[^"]*)"', page.body.decode()):
                self.assertEqual(self.get(name).status, 200, name)

    def test_icon(self) -> None:
        """The icon is there for everybody, and the pages allow it."""
        got = self.get("/favicon.ico")
        self.assertEqual(got.status, 200)
        self.assertEqual(got.headers["content-type"], "image/vnd.microsoft.icon")
        self.assertIn("img-src 'self'", got.headers["content-security-policy"].split("; "))

    def test_nothing_from_elsewhere(self) -> None:
        """No page has a script, a style or an address of its own in it."""
        for path in (
            "/",
            "/channels/job",
            "/status.js",
            "/status-job.js",
            "/status.css",
            "/common.css",
        ):
            text = self.get(path).body.decode()
            self.assertNotRegex(text, r"https?://(?!www\.w3\.org/2000/svg)|<style|style=|<script>")

    def test_unknown(self) -> None:
        """There is nothing elsewhere, on no path out of the folder either."""
        for path in ("/x", "/watch.html", "/../setup.cfg", "/status.html", "/%2e%2e/x"):
            self.assertEqual(self.get(path).status, 404, path)
        for path in ("/api", "/channels", "/healthz/x", "//healthz", "/api/status/x"):
            self.assertEqual(self.get(path).status, 404, path)

    def test_slashes_at_the_end(self) -> None:
        """They are ignored, as on the public port."""
        for path in ("/healthz", "/metrics", "/api/status", "/api/channels/job", "/status.js"):
            for more in ("/", "//"):
                self.assertEqual(self.get(path + more).status, self.get(path).status, path)
        self.assertEqual(self.get("/api/channels/").body, self.get("/api/channels").body)
        self.assertEqual(self.get("/api/").status, 404)

    def test_metrics(self) -> None:
        """The metrics are made for the format that a client asks for, for HEAD as for GET."""
        for method, body in (("GET", b"up x/y\n"), ("HEAD", b"")):
            got = Client(self.site).ask(f"{method} /metrics", "Accept: x/y")
            self.assertEqual((got.status, got.headers["content-length"]), (200, "7"))
            self.assertEqual(got.body, body)

    def test_head(self) -> None:
        """HEAD has the same head and no body."""
        got = Client(self.site).ask("HEAD /healthz")
        self.assertEqual((got.status, got.body), (200, b""))

    def test_events(self) -> None:
        """The page is told at once and then again, until it goes."""
        client = Client(self.site)
        got = client.ask("GET /api/events")
        self.assertEqual(got.headers["content-type"], "text/event-stream")
        status, jobs = (json.loads(one[6:]) for one in got.body.decode().split("\n\n")[:2])
        self.assertIn("broker", status["status"])
        self.assertEqual(jobs["jobs"]["channels"][0]["id"], "job")
        self.site.events.tell()
        self.assertIn(b"data: ", client.take())
        client.transport.reportDisconnect()
        self.assertEqual((self.site.events.streams, self.site.connections), (set(), set()))

    def test_slow_page(self) -> None:
        """A page that takes nothing is told nothing more, until it takes again."""
        client = Client(self.site)
        client.ask("GET /api/events")
        (stream,) = self.site.events.streams
        stream.pauseProducing()
        self.site.events.tell()
        self.assertEqual(client.take(), b"")
        stream.resumeProducing()
        self.site.events.tell()
        self.assertIn(b"data: ", client.take())

    def test_bug(self) -> None:
        """A bug of ours is answered by 500."""
        self.patch(self.inspection, "status", lambda: 1 / 0)
        self.assertEqual(self.get("/api/status").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class GuardTests(StatusTestCase):
    """What is not answered."""

    def test_other_hosts(self) -> None:
        """Whatever is asked under another name is refused, but for what balancers ask."""
        for path in {*OPEN, *CLOSED, "/status.css"} - PROBES:
            got = self.get(path, host="evil.example")
            self.assertEqual(got.status, 421, path)
            why = json.loads(got.body)["error"]
            self.assertIn("'evil.example'", why)
            self.assertIn("status_hosts", why)
        for path in PROBES:
            self.assertEqual(self.get(path, host="10.0.0.1:80").status, 200, path)

    def test_owner(self) -> None:
        """A balancer learns whether the broker should talk to this node."""
        self.assertEqual(self.get("/ownerz").status, 200)
        self.owns = False
        self.assertEqual(self.get("/ownerz").status, 503)

    def test_headers(self) -> None:
        """Every answer has a date, forbids loading from elsewhere, and must not be stored."""
        for path in (*OPEN, *CLOSED[:-1], "/x"):
            headers = self.get(path).headers
            self.assertTrue(headers["content-security-policy"].startswith("default-src 'none'"))
            self.assertEqual(headers["cache-control"], "no-store")
            self.assertTrue(headers["date"].endswith(" GMT"))
            self.assertNotIn("unsafe", headers["content-security-policy"])

    def test_methods(self) -> None:
        """Nothing takes another method than GET and HEAD."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            got = Client(self.site).ask(f"{method} /api/status")
            self.assertEqual((got.status, got.headers["allow"]), (405, "GET, HEAD"), method)
        self.assertEqual(self.get("/sign-in").headers["allow"], "POST")

    def test_bodies(self) -> None:
        """A large body is refused before all of it is read, however it is framed."""
        large = "x" * (MAX_BODY + 1)
        chunk = f"{len(large):x}\r\n{large}\r\n"
        length = f"Content-Length: {len(large)}"
        for header, body in ((length, ""), ("Transfer-Encoding: chunked", chunk)):
            got = Client(self.site).ask("POST /sign-in", header, body=body)
            self.assertEqual((got.status, "date" in got.headers), (413, True), header)

    def test_empty_bodies(self) -> None:
        """An empty body is none, however it is framed."""
        for header, body in (
            ("Content-Length: 0", ""),
            ("Transfer-Encoding: chunked", "0\r\n\r\n"),
        ):
            got = Client(self.site).ask("GET /readyz", header, body=body)
            self.assertEqual(got.status, 200, header)

    def test_malformed(self) -> None:
        """What is no request is refused, with a date and the security headers."""
        cases = {"no colon": 400, "Content-Length: x": 400, f"X: {'x' * MAX_HEAD}": 431}
        cases[f"Content-Length: {'9' * 5000}"] = 400
        for header, status in cases.items():
            got = Client(self.site).ask("GET /readyz", header)
            self.assertEqual((got.status, "date" in got.headers), (status, True), header)
            self.assertIn("content-security-policy", got.headers)

    def test_tls(self) -> None:
        """TLS is answered by an alert at once, closed, counted and logged with the address."""
        for number, size in enumerate((1, 4, 500), 1):
            client = Client(self.site)
            assert client.server is not None
            client.server.dataReceived(b"\x16\x03\x01\x02\x00\x01"[:size].ljust(size, b"r"))
            self.assertEqual(client.take()[::5], b"\x15\x02")
            self.assertTrue(client.transport.disconnecting)
            self.assertEqual(self.site.refused.counts["TLS on the status port"], number)

    def test_connections(self) -> None:
        """There are so many connections at most."""
        for _ in range(MAX_CONNECTIONS):
            Client(self.site)
        self.assertIsNone(self.site.buildProtocol(None))
