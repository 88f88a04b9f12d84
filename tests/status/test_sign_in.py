"""What a client without the right token is told."""

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.status.access import Access
from recodex_monitor.status.resources import Answer
from recodex_monitor.status.sign_in import SignIn

TOKEN = "correct-horse-battery"
FORM = Answer(401, b"<h1>Sign in</h1><!-- reason --><form>", b"text/html")


class SignInTests(SynchronousTestCase):
    """A status page with a token."""

    def setUp(self) -> None:
        """Make one."""
        self.access = Access([], TOKEN)
        self.sign_in = SignIn(self.access, FORM, Clock().seconds)

    def page(self, cookies: str = "") -> bytes:
        """The sign-in page that a browser with these cookies gets."""
        got = self.sign_in.refusal("", cookies, for_person=True)
        assert got is not None
        return got.content

    def test_first_visit(self) -> None:
        """Who comes first is asked for the token, and blamed for nothing."""
        self.assertEqual(self.page(), b"<h1>Sign in</h1><form>")

    def test_old_cookie(self) -> None:
        """Who signed in with a former token is told why the page asks again."""
        cookie = Access([], TOKEN + "2").cookie().partition(";")[0]
        self.assertIn(b"the monitor's token has changed", self.page(cookie))

    def test_right(self) -> None:
        """Who has the token, or a cookie of it, is not refused."""
        cookie = self.access.cookie().partition(";")[0]
        for header, cookies in ((f"Bearer {TOKEN}", ""), ("", cookie), ("Bearer x", cookie)):
            self.assertIsNone(self.sign_in.refusal(header, cookies, for_person=False))

    def test_no_token_needed(self) -> None:
        """A form that is sent to a monitor without a token leads to the page."""
        sign_in = SignIn(Access([], None), FORM, Clock().seconds)
        self.assertEqual(sign_in.take("x").status, 303)

    def test_log(self) -> None:
        """Wrong tokens are logged, in the form and in the header, without the token."""
        for attempt in (
            lambda sign_in: sign_in.take("x-secret"),
            lambda sign_in: sign_in.refusal("Bearer x-secret", "", for_person=False),
        ):
            with capturedLogs() as events:
                attempt(SignIn(self.access, FORM, Clock().seconds))
            (line,) = map(formatEvent, events)
            self.assertIn("a wrong token for the status page", line)
            self.assertNotIn("x-secret", line)
