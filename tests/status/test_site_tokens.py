"""The token of the private listener, in memory."""

import json

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.parsing import parse
from recodex_monitor.settings.schema import ConfigError
from tests.status.site import Client, StatusTestCase
from tests.support.http import Answer as Got

TOKEN = "correct-horse-battery"
OPEN = ("/healthz", "/readyz", "/metrics")
CLOSED = ("/", "/channels/job", "/api/status", "/api/channels", "/api/channels/job", "/api/events")


class TokenTests(StatusTestCase):
    """A listener with a token."""

    token = TOKEN

    def sign_in(self, token: str) -> Got:
        """Send the form."""
        body = f"token={token}"
        kind = "Content-Type: application/x-www-form-urlencoded"
        length = f"Content-Length: {len(body)}"
        return Client(self.site).ask("POST /sign-in", kind, length, body=body)

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
            self.assertEqual(got.status, 401, path)
            self.assertTrue(got.headers["www-authenticate"].startswith("Bearer realm="), path)
            self.assertIn("is needed", json.loads(got.body)["error"])
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

    def test_wrong_bearer(self) -> None:
        """A wrong token is told as wrong, as RFC 6750 has it, not as missing."""
        got = self.get("/api/status", "Authorization: Bearer x")
        self.assertEqual(got.status, 401)
        self.assertIn('error="invalid_token"', got.headers["www-authenticate"])
        self.assertIn("the token is wrong", json.loads(got.body)["error"])

    def test_wrong_token(self) -> None:
        """A wrong token gets the form again, which says so, and no cookie."""
        for token in ("", "x", TOKEN[:-1], "%C3%A9" * 16):
            got = self.sign_in(token)
            self.assertEqual(got.status, 401)
            self.assertNotIn("set-cookie", got.headers)
            self.assertIn(b"token is wrong" if token else b"Enter the token", got.body)


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
            self.assertIn("16 to 512", problem)
            self.assertNotIn(str(token), problem.removeprefix("F:1"))
