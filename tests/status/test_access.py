"""Who may see the status."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.status.access import COOKIE, Access, Token

TOKEN = "correct-horse-battery"


class HostTests(SynchronousTestCase):
    """Names by which the listener is called."""

    def test_known(self) -> None:
        """The bound address, localhost, names of the settings, and where the client came in."""
        access = Access(["127.0.0.1", "monitor.example"], None)
        for host in ("127.0.0.1:4568", "localhost", "LOCALHOST:1", "monitor.example.:4568"):
            self.assertTrue(access.knows_host(host, ""), host)
        self.assertTrue(access.knows_host("192.0.2.1:4568", "::ffff:192.0.2.1"))
        self.assertTrue(Access(["::1"], None).knows_host("[::1]:4568", ""))

    def test_unknown(self) -> None:
        """Any other name is not: somebody may have let it point here."""
        access = Access(["127.0.0.1"], None)
        for host in ("", ":80", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example"):
            self.assertFalse(access.knows_host(host, "127.0.0.1"), host)


class TokenTests(SynchronousTestCase):
    """What a client must know."""

    def test_without(self) -> None:
        """Without a token whoever connects may see all, and no text is the token."""
        access = Access([], None)
        self.assertIs(access.judge("", ""), Token.RIGHT)
        self.assertFalse(access.is_needed)
        self.assertFalse(access.is_token(""))

    def test_bearer(self) -> None:
        """The token is taken as a bearer, and nothing else is."""
        access = Access([], TOKEN)
        self.assertIs(access.judge(f"Bearer {TOKEN}", ""), Token.RIGHT)
        self.assertIs(access.judge(f"bearer  {TOKEN}", ""), Token.RIGHT)
        for header in ("", TOKEN, f"Basic {TOKEN}", "Bearer "):
            self.assertIs(access.judge(header, ""), Token.MISSING, header)
        for header in (f"Bearer {TOKEN}x", "Bearer \xe9"):
            self.assertIs(access.judge(header, ""), Token.WRONG, header)

    def test_cookie(self) -> None:
        """The cookie of a sign-in is taken until the token changes, and does not hold it."""
        access = Access([], TOKEN)
        cookie, *attributes = access.cookie().split("; ")
        self.assertNotIn(TOKEN, cookie)
        self.assertEqual(attributes, ["HttpOnly", "SameSite=Strict", "Path=/"])
        self.assertIs(access.judge("", f"other=1; {cookie}"), Token.RIGHT)
        self.assertIs(Access([], TOKEN + "2").judge("", cookie), Token.WRONG)
        for missing in ("", f"{COOKIE}=", "=;=,", "other=1"):
            self.assertIs(access.judge("", missing), Token.MISSING, missing)
        for wrong in (f"{COOKIE}={TOKEN}", f"{cookie}0"):
            self.assertIs(access.judge("", wrong), Token.WRONG, wrong)
