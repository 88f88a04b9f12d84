"""Refusals: what they say, and to whom they are a page."""

from base64 import b64encode
from hashlib import sha256

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.admission import Refused
from recodex_monitor.clients.refusals import prefers_html, refusal, whole_answer
from tests.support.http import answer

REFUSED = Refused(400, "bad <wait>", "wait must be < 60.")


class RefusalTests(SynchronousTestCase):
    """Bodies and headers."""

    def test_text(self) -> None:
        """A program gets the status and the reason as plain text."""
        headers, content = refusal(REFUSED, "*/*")
        self.assertEqual(content, b"400 Bad Request\nwait must be < 60.\n")
        self.assertIn(("Content-Type", "text/plain; charset=utf-8"), headers)
        self.assertIn(("Content-Length", str(len(content))), headers)

    def test_page(self) -> None:
        """A browser gets a page with the same text, escaped."""
        headers, content = refusal(REFUSED, "text/html")
        self.assertIn(b"<h1>400 Bad Request</h1>", content)
        self.assertIn(b"<p>wait must be &lt; 60.</p>", content)
        self.assertIn(("Content-Type", "text/html; charset=utf-8"), headers)
        self.assertIn(("Content-Length", str(len(content))), headers)

    def test_policy(self) -> None:
        """The page's style is allowed by its hash, and nothing else that stands in the page."""
        headers, content = refusal(REFUSED, "text/html")
        style = content.partition(b"<style>")[2].partition(b"</style>")[0]
        digest = b64encode(sha256(style).digest()).decode()
        policy = dict(headers)["Content-Security-Policy"].split("; ")
        self.assertIn(f"style-src 'sha256-{digest}'", policy)
        self.assertIn("default-src 'none'", policy)

    def test_page_before_the_head_is_understood(self) -> None:
        """A browser gets a page, although its request is not understood."""
        for head in (b"GET / HTTP/1.1\r\nAccept: text/html\r\nX", b"\r\naccept:text/html,*/*"):
            self.assertIn(b"<h1>", whole_answer(REFUSED, head))
        self.assertNotIn(b"<h1>", whole_answer(REFUSED, b"GET / HTTP/1.1\r\nX-Accept: text/html"))

    def test_statuses(self) -> None:
        """An answer says what would be right, where there is a header for that."""
        expected = {
            405: {"allow": "GET, HEAD, OPTIONS"},
            426: {"sec-websocket-version": "13", "connection": "Upgrade, close"},
            503: {"retry-after": "30"},
        }
        for status in (400, 403, 404, 405, 413, 414, 426, 431, 500, 503):
            found = answer(whole_answer(Refused(status, "why")))
            self.assertEqual((found.status, found.is_whole), (status, True))
            self.assertTrue(found.body.endswith(b"\nWhy.\n"))
            self.assertIn("date", found.headers)
            self.assertEqual(found.headers["cache-control"], "no-store")
            self.assertIn("close", found.headers["connection"])
            self.assertLessEqual(
                expected.get(status, {}).items(), found.headers.items(), found.headers
            )
            for other in ("allow", "retry-after", "sec-websocket-version"):
                self.assertEqual(other in found.headers, other in expected.get(status, {}))

    def test_head(self) -> None:
        """The answer to HEAD has the same headers and no body."""
        whole, head = whole_answer(REFUSED), whole_answer(REFUSED, b"HEAD / HTTP/1.1")
        self.assertTrue(head.endswith(b"\r\n\r\n"))
        self.assertEqual(answer(head).headers, answer(whole).headers)


class AcceptTests(SynchronousTestCase):
    """Which clients get a page."""

    def test_pages(self) -> None:
        """A client gets a page if it accepts text/html by name, no less than plain text."""
        for accept in (
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/plain;q=0.5, Text/HTML ;level=1;q=0.7",
            "text/html;q=0.001",
            "application/json, text/html",
        ):
            self.assertTrue(prefers_html(accept), accept)

    def test_texts(self) -> None:
        """Any other client gets text."""
        for accept in (
            *("", "*/*", "text/*", "text/plain", "application/json", "text/event-stream"),
            *("text/html;q=0", "text/html;q=0.000", "text/plain, text/html;q=0.9", "text/htmlx"),
            *(",;,", "text/html x", ";q=1"),
        ):
            self.assertFalse(prefers_html(accept), accept)
