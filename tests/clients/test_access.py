"""Followers with and without tokens, over every transport."""

import json
from pathlib import Path
from typing import Any

from recodex_monitor.clients.access import given_token
from recodex_monitor.settings.schema import Access
from tests.clients.support import ClientsTestCase
from tests.clients.test_jobs_subscriber import JobsClient
from tests.network.test_tokens import LATER, SECRET, token
from tests.support.clients import Browser
from tests.support.frames import CLOSE, HANDSHAKE, TEXT, frame, frames
from tests.support.http import answer, request


class AccessTestCase(ClientsTestCase):
    """A monitor with a key, and a wall clock that the test sets."""

    def setUp(self) -> None:
        """Read the key; tokens are optional."""
        super().setUp()
        self.key = Path(self.mktemp())
        self.key.write_bytes(SECRET)
        self.wall = LATER - 3600.0
        self.factory.access._wall = lambda: self.wall
        self.configure()

    def configure(self, *, required: bool = False) -> None:
        """Read the key again, as on SIGHUP."""
        self.factory.access.read(Access((str(self.key),), required=required))()

    def expire(self) -> None:
        """Let tokens expire."""
        self.wall = LATER
        self.factory.access.sweep()

    def refused(self) -> dict[str, int]:
        """What was refused, by reason."""
        return dict(self.factory.connections.refused.counts)


class WebSocketTests(AccessTestCase):
    """Clients that follow one channel by WebSocket."""

    def closed(self, query: str, channel_id: str | None = "job") -> bytes:
        """The reason with which such a client is closed by 1008; empty if it is not."""
        browser = Browser(self.factory)
        browser.send(HANDSHAKE.replace(b"x=1", query.encode()))
        if channel_id is not None:
            browser.send(frame(TEXT, channel_id.encode()))
        head, _, data = browser.take().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        found = [payload for opcode, payload in frames(data) if opcode == CLOSE]
        if not found:
            return b""
        self.assertEqual(found[0][:2], b"\x03\xf0")
        return found[0][2:]

    def test_optional(self) -> None:
        """A right token or none is served, a wrong one is refused: at once, or for the channel."""
        self.assertEqual(self.closed("x=1"), b"")
        self.assertEqual(self.closed(f"token={token()}"), b"")
        self.assertEqual(self.closed(f"after=&token={token(channels=['j*'])}"), b"")
        self.assertEqual(self.closed(f"token={token(b'x' * 32)}", None), b"token: signature")
        self.assertEqual(self.closed("token=x", None), b"token: malformed")
        self.assertEqual(self.closed(f"token={token(exp=1)}", None), b"token: expired")
        self.assertEqual(self.closed(f"token={token()}", "other"), b"token: channel")
        due = {f"token: {each}": 1 for each in ("signature", "malformed", "expired", "channel")}
        self.assertEqual(self.refused(), due)
        self.assertEqual(set(self.hub.channels), {"job"})

    def test_required(self) -> None:
        """Where tokens are required, nobody follows without one."""
        self.configure(required=True)
        self.assertEqual(self.closed("x=1", None), b"token: missing")
        self.assertEqual(self.closed(f"token={token()}"), b"")

    def test_header(self) -> None:
        """Programs may send the token in a header, which takes precedence."""
        self.configure(required=True)
        for text, due in ((token(), b""), (token(exp=1), b"token: expired")):
            for more in (b"", b"Sec-WebSocket-Protocol: a\r\n"):  # the other handshake's path
                browser = Browser(self.factory)
                head = HANDSHAKE.replace(b"x=1", f"token={token()}".encode())[:-2]
                browser.send(head + b"Authorization: Bearer %b\r\n%b\r\n" % (text.encode(), more))
                browser.send(frame(TEXT, b"job"))
                self.assertIn(due, browser.take())
                self.assertEqual(browser.server.closedByMe, bool(due))

    def test_expiry(self) -> None:
        """A subscription ends with its token; one without a token does not."""
        browser, other = self.follower(query=f"token={token()}"), self.follower()
        early = self.follower(query=f"token={token(exp=LATER + 60)}")
        self.expire()
        ((opcode, payload),) = browser.received()
        self.assertEqual((opcode, payload), (CLOSE, b"\x03\xf0token: expired"))
        self.assertEqual(len(self.hub.channels["job"].subscriptions), 2)
        early.lose()
        self.wall += 60
        self.factory.access.sweep()
        self.assertEqual(other.received(), [])

    def test_new_keys(self) -> None:
        """Keys are read again; who follows already is not asked again."""
        browser = self.follower(query=f"token={token()}")
        self.key.write_bytes(b"y" * 32)
        self.configure()
        self.assertEqual(self.closed(f"token={token()}", None), b"token: signature")
        self.assertEqual(self.closed(f"token={token(b'y' * 32)}"), b"")
        self.assertEqual(browser.received(), [])

    def test_off(self) -> None:
        """Without keys tokens are ignored."""
        self.factory.access.read(Access())()
        self.assertEqual(self.closed("token=x"), b"")


class JobsTests(AccessTestCase):
    """Clients of many channels."""

    def client(self, query: str = "jobs") -> JobsClient:
        """A client that follows nothing yet."""
        client = JobsClient(self.factory)
        client.open(query)
        return client

    def told(self, client: JobsClient) -> list[tuple[Any, ...]]:
        """The channel, the command and why of what has come since the last call."""
        return client.told_of("channel", "command", "reason", "detail")

    def test_messages(self) -> None:
        """Each channel is checked; a new token is for what is followed from then on."""
        self.configure(required=True)
        client = self.client()
        client.ask(follow="job")
        client.ask(token=token())
        client.ask(follow="job")
        client.ask(follow="b")
        client.ask(token=token(channels=["b"]))
        client.ask(follow="b")
        self.assertEqual(
            self.told(client),
            [
                ("job", "REFUSED", "token", "missing"),
                ("job", "SUBSCRIBED", None, None),
                ("b", "REFUSED", "token", "channel"),
                ("b", "SUBSCRIBED", None, None),
            ],
        )

    def test_wrong(self) -> None:
        """A wrong token is refused without a channel; the one before stays in force."""
        client = JobsClient(self.factory)
        client.send(HANDSHAKE.replace(b"x=1", b"jobs&token=x"))
        refusal = client.take().partition(b"\r\n\r\n")[2]
        client.transport.write(refusal)
        client.ask(token=token())
        client.ask(token=token(exp=1))
        client.ask(follow="job")
        client.ask(token="")
        self.assertEqual(
            self.told(client),
            [
                (None, "REFUSED", "token", "malformed"),
                (None, "REFUSED", "token", "expired"),
                ("job", "SUBSCRIBED", None, None),
                (None, "REFUSED", "malformed", None),
            ],
        )

    def test_expiry(self) -> None:
        """What is followed with a token ends with it, unless a new one covers it in time."""
        client = self.client(f"jobs&token={token(channels=['*'])}")
        client.follow_all("a", "b", "c")
        client.ask(token=token(channels=["a"], exp=LATER + 60))
        client.ask(token=token(channels=["b"], exp=LATER - 60))
        client.take()
        self.expire()
        gone = [(name, "REFUSED", "token", "expired") for name in "bc"]
        self.assertEqual(self.told(client), gone)
        self.wall += 60
        self.factory.access.sweep()
        self.assertEqual(self.told(client), [("a", "REFUSED", "token", "expired")])
        self.assertEqual(self.hub.channels, {})
        self.assertIsNone(client.ended)


class HttpTests(AccessTestCase):
    """Clients over plain HTTP."""

    def get(self, path: str, *headers: str) -> tuple[Browser, Any]:
        """Send a request; returns the client, and what is answered at once."""
        browser = Browser(self.factory)
        return browser, browser.get(path, *headers)

    def test_refused(self) -> None:
        """A wrong or missing token is answered by 401 that says why, and cached by nobody."""
        self.configure(required=True)
        for path in ("/events/job", "/channels/job", "/events?follow=job"):
            query = "&" if "?" in path else "?"
            for text, challenge in (
                ("", 'Bearer realm="recodex-monitor", error_description="missing"'),
                (
                    f"{query}token=x",
                    'Bearer realm="recodex-monitor", error="invalid_token", '
                    'error_description="malformed"',
                ),
            ):
                browser, answer = self.get(path + text)
                self.assertEqual((answer.status, browser.ended), (401, "closed"), path)
                self.assertEqual(answer.headers["www-authenticate"], challenge)
                self.assertEqual(answer.headers["cache-control"], "no-store")
                self.assertEqual(answer.headers["referrer-policy"], "no-referrer")
        self.assertEqual(self.hub.channels, {})
        self.assertEqual(self.refused(), {"token: missing": 3, "token: malformed": 3})

    def test_channel(self) -> None:
        """A token for another channel is refused; of many channels each alone."""
        _, answer = self.get(f"/events/other?token={token()}")
        self.assertEqual(answer.status, 401)
        self.assertIn('error="insufficient_scope"', answer.headers["www-authenticate"])
        _, answer = self.get(f"/events?follow=other&follow=job&token={token()}")
        self.assertIn(b'{"channel": "other", "command": "REFUSED", "reason": "token"', answer.body)
        self.assertIn(b'{"channel": "job", "command": "SUBSCRIBED"', answer.body)

    def test_accepted(self) -> None:
        """A token in the query or in the header is served; files need none."""
        self.configure(required=True)
        self.publish("STARTED")
        for path, headers in (
            (f"/events/job?token={token()}", ()),
            ("/events/job", (f"Authorization: bearer {token()}",)),
            (f"/channels/job?token={token()}", ()),
            ("/channels/job?token=x", (f"Authorization: Bearer {token()}",)),
            ("/progress.js", ()),
        ):
            self.assertEqual(self.get(path, *headers)[1].status, 200, path)

    def test_page(self) -> None:
        """The page of a job shows its state only to those who may follow it."""
        self.configure(required=True)
        _, before = self.get(f"/watch/job?token={token()}")
        self.publish("STARTED", "ENDED")
        _, allowed = self.get(f"/watch/job?token={token()}")
        _, other = self.get("/watch/job")
        self.assertEqual(other.body, before.body)
        self.assertNotEqual(other.body, allowed.body)
        self.assertEqual(other.headers["referrer-policy"], "no-referrer")

    def test_expiry(self) -> None:
        """An answer ends with the token, a long poll with what there is."""
        stream, _ = self.get(f"/events/job?token={token()}")
        many, _ = self.get(f"/events?follow=job&token={token()}")
        poll = Browser(self.factory)
        poll.send(request(f"/channels/job?wait=60&token={token()}"))
        self.expire()
        self.assertEqual(stream.more(), (b"", True))
        body, is_over = many.more()
        self.assertEqual((b'"detail": "expired"' in body, is_over), (True, True))
        self.assertEqual(json.loads(answer(poll.take()).body)["messages"], [])
        self.assertEqual(self.hub.channels, {})
        for client in (stream, many, poll):
            client.lose()
        self.assertEqual(self.factory.access._ends, {})


class GivenTokenTests(ClientsTestCase):
    """Where a token is found."""

    def test_given_token(self) -> None:
        """In the header, else in the query."""
        for target, header, found in (
            ("/ws?token=a", "", "a"),
            ("/ws?token=a", "Bearer b", "b"),
            ("/ws", "BEARER  b ", "b"),
            ("/ws?token=a", "Basic b", "a"),
            ("/ws?after=&token=a%2Eb", "", "a.b"),
            ("/ws?xtoken=a", "", ""),
            ("/ws?token=", "", ""),
            ("/ws", "", ""),
            ("http://[?token=a", "", ""),
            ("/ws?" + "&" * 2000 + "token=a", "", ""),
        ):
            self.assertEqual(given_token(target, header), found, target[:50])

    def test_churn(self) -> None:
        """What no longer follows is not kept until its token would have expired."""
        key = Path(self.mktemp())
        key.write_bytes(SECRET)
        self.factory.access.read(Access((str(key),)))()
        for _ in range(500):
            self.follower(query=f"token={token()}").lose()
        self.assertLess(len(self.factory.access._heap), 100)

    def test_never_logged(self) -> None:
        """What is counted of a refusal does not show the token."""
        key = Path(self.mktemp())
        key.write_bytes(SECRET)
        self.factory.access.read(Access((str(key),)))()
        browser = Browser(self.factory)
        browser.open("token=secret-token")
        details = json.dumps(self.factory.connections.refused.details)
        self.assertIn("malformed", details)
        self.assertNotIn("secret-token", details)
