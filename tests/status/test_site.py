"""The private listener, in memory."""

import json
import re
from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker.peers import Peers
from recodex_monitor.settings.parsing import parse
from recodex_monitor.settings.schema import ConfigError
from recodex_monitor.status.access import Access
from recodex_monitor.status.inspection import View
from recodex_monitor.status.site import MAX_BODY, MAX_CONNECTIONS, Answer, Connection, Status
from tests.support.clients import Answer as Got
from tests.support.clients import Transport, answer, message, service

TOKEN = "correct-horse-battery"
OPEN = ("/healthz", "/readyz", "/metrics")
CLOSED = ("/", "/channels/job", "/api/status", "/api/channels", "/api/channels/job", "/api/events")


class Broker:
    """A broker's side without a broker."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.dropped: Mapping[str, int] = {}
        self.addresses: list[Any] = []


class Client:
    """A connection to the listener."""

    def __init__(self, status: Status) -> None:
        self.server = status.buildProtocol(None)
        self.transport = Transport(self.server, isServer=True)
        if self.server is not None:
            self.server.makeConnection(self.transport)

    def ask(self, line: str, *headers: str, host: str = "localhost", body: str = "") -> Got:
        """Send a request, given by method and path; returns the answer."""
        assert self.server is not None
        head = "\r\n".join((f"{line} HTTP/1.1", f"Host: {host}", *headers, "", ""))
        self.server.dataReceived((head + body).encode())
        return answer(self.take())

    def take(self) -> bytes:
        """What has come."""
        taken = b"".join(self.transport.stream)
        self.transport.stream.clear()
        return taken


class StatusTestCase(SynchronousTestCase):
    """A listener with one job."""

    token: str | None = None

    def setUp(self) -> None:
        """Make it."""
        self.clock, self.hub, side = service()
        self.patch(Connection, "callLater", staticmethod(self.clock.callLater))
        broker = Broker(Peers(self.clock.seconds))
        self.view = View(self.hub, side.reception, broker, self.clock, settings={})
        self.why: list[str] = []
        access = Access(["127.0.0.1"], self.token)
        scrape = lambda: Answer(200, b"up 1\n", b"text/plain")  # noqa: E731
        self.status = Status(self.view, access, lambda: self.why, scrape)
        self.hub.publish([message("job", "STARTED")])

    def get(self, path: str, *headers: str, host: str = "localhost") -> Got:
        """What is answered to a request on a connection of its own."""
        return Client(self.status).ask(f"GET {path}", *headers, host=host)


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

    def test_nothing_from_elsewhere(self) -> None:
        """No page has a script, a style or an address of its own in it."""
        for path in ("/", "/channels/job", "/status.js", "/status-job.js", "/status.css"):
            text = self.get(path).body.decode()
            self.assertNotRegex(text, r"https?://(?!www\.w3\.org/2000/svg)|<style|style=|<script>")

    def test_unknown(self) -> None:
        """There is nothing elsewhere, on no path out of the folder either."""
        for path in ("/x", "/watch.html", "/../setup.cfg", "/status.html", "/api", "/%2e%2e/x"):
            self.assertEqual(self.get(path).status, 404, path)

    def test_head(self) -> None:
        """HEAD has the same head and no body."""
        got = Client(self.status).ask("HEAD /healthz")
        self.assertEqual((got.status, got.body), (200, b""))

    def test_events(self) -> None:
        """The page is told at once and then again, until it goes."""
        client = Client(self.status)
        got = client.ask("GET /api/events")
        self.assertEqual(got.headers["content-type"], "text/event-stream")
        self.assertEqual(json.loads(got.body[6:])["channels"][0]["id"], "job")
        self.status.tell()
        self.assertIn(b"data: ", client.take())
        client.transport.reportDisconnect()
        self.assertEqual((self.status.watchers, self.status.connections), (set(), set()))

    def test_slow_page(self) -> None:
        """A page that takes nothing is told nothing more, until it takes again."""
        client = Client(self.status)
        client.ask("GET /api/events")
        (watcher,) = self.status.watchers
        watcher.pauseProducing()
        self.status.tell()
        self.assertEqual(client.take(), b"")
        watcher.resumeProducing()
        self.status.tell()
        self.assertIn(b"data: ", client.take())

    def test_bug(self) -> None:
        """A bug of ours is answered by 500."""
        self.patch(self.view, "status", lambda: 1 / 0)
        self.assertEqual(self.get("/api/status").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class GuardTests(StatusTestCase):
    """What is not answered."""

    def test_other_hosts(self) -> None:
        """Whatever is asked under another name is refused."""
        for path in (*OPEN, *CLOSED, "/status.css"):
            self.assertEqual(self.get(path, host="evil.example").status, 421, path)

    def test_headers(self) -> None:
        """Every answer says that nothing else may be loaded, and that it must not be kept."""
        for path in (*OPEN, *CLOSED[:-1], "/x"):
            headers = self.get(path).headers
            self.assertTrue(headers["content-security-policy"].startswith("default-src 'none'"))
            self.assertEqual(headers["cache-control"], "no-store")
            self.assertNotIn("unsafe", headers["content-security-policy"])

    def test_methods(self) -> None:
        """Nothing takes another method than GET and HEAD."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            got = Client(self.status).ask(f"{method} /api/status")
            self.assertEqual(got.status, 405, method)

    def test_bodies(self) -> None:
        """A large body, or one of unknown size, is refused before it is read."""
        for header in (f"Content-Length: {MAX_BODY + 1}", "Transfer-Encoding: chunked"):
            got = Client(self.status).ask("POST /sign-in", header)
            self.assertEqual(got.status, 400, header)

    def test_connections(self) -> None:
        """There are so many connections at most."""
        for _ in range(MAX_CONNECTIONS):
            Client(self.status)
        self.assertIsNone(self.status.buildProtocol(None))


class TokenTests(StatusTestCase):
    """A listener with a token."""

    token = TOKEN

    def sign_in(self, token: str) -> Got:
        """Send the form."""
        body = f"token={token}"
        kind = "Content-Type: application/x-www-form-urlencoded"
        length = f"Content-Length: {len(body)}"
        return Client(self.status).ask("POST /sign-in", kind, length, body=body)

    def test_open(self) -> None:
        """What names no job needs no token."""
        for path in OPEN:
            got = self.get(path)
            self.assertEqual(got.status, 200, path)
            self.assertNotIn(b"job", got.body)

    def test_closed(self) -> None:
        """All else does, and says so."""
        for path in (*CLOSED, "/x", "/status.js"):
            got = self.get(path)
            self.assertEqual((got.status, got.headers["www-authenticate"]), (401, "Bearer"), path)
            self.assertNotIn(b"job", got.body)

    def test_bearer(self) -> None:
        """Who knows the token may see all."""
        for path in CLOSED:
            self.assertEqual(self.get(path, f"Authorization: Bearer {TOKEN}").status, 200, path)

    def test_form(self) -> None:
        """A browser gets a form, and a cookie for the right token."""
        form = self.get("/", "Accept: text/html")
        self.assertEqual(form.status, 401)
        self.assertIn(b'action="/sign-in"', form.body)
        got = self.sign_in(TOKEN)
        self.assertEqual((got.status, got.headers["location"]), (303, "/"))
        cookie = got.headers["set-cookie"].partition(";")[0]
        self.assertEqual(self.get("/api/channels", f"Cookie: {cookie}").status, 200)

    def test_wrong_token(self) -> None:
        """A wrong token gets the form again, and no cookie."""
        for token in ("", "x", TOKEN[:-1], "%C3%A9" * 16):
            got = self.sign_in(token)
            self.assertEqual(got.status, 401)
            self.assertNotIn("set-cookie", got.headers)


class SettingsTests(SynchronousTestCase):
    """What the settings allow."""

    def problems(self, text: str) -> list[str]:
        """What is wrong with settings."""
        try:
            parse(text.encode(), "F")
        except ConfigError as error:
            return error.problems
        return []

    def test_exposed(self) -> None:
        """Where others can connect, a token is needed, and the mistake is told with its line."""
        for host in ("0.0.0.0", "*", "192.0.2.1", "monitor.example", "::"):
            (problem,) = self.problems(f'logger: {{}}\nstatus_uri: ["{host}", 1]')
            self.assertTrue(problem.startswith("F:2: status_uri: others can connect"), problem)
            text = f'status_uri: ["{host}", 1]\nstatus_token: "{TOKEN}"'
            self.assertEqual(self.problems(text), [])

    def test_private(self) -> None:
        """On loopback and on a Unix socket it is not."""
        for address in ('["127.0.0.2", 1]', '["::1", 1]', '["localhost", 1]', '"unix:/run/s"'):
            self.assertEqual(self.problems(f"status_uri: {address}"), [], address)

    def test_tokens(self) -> None:
        """A token is long, and fit for a header; a bad one is not shown."""
        for token in ("short", "with a space in it", "ščřžýáíéúůščřžýáíé", 987):
            (problem,) = self.problems(f"status_token: {json.dumps(token)}")
            self.assertIn("16 or more", problem)
            self.assertNotIn(str(token), problem.removeprefix("F:1"))
