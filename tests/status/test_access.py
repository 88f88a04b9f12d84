"""Who may see the status."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.status.access import COOKIE, Access

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
        self.assertTrue(access.admits("", ""))
        self.assertFalse(access.is_token(""))

    def test_bearer(self) -> None:
        """The token is taken as a bearer, and nothing else is."""
        access = Access([], TOKEN)
        self.assertTrue(access.admits(f"Bearer {TOKEN}", ""))
        self.assertTrue(access.admits(f"bearer  {TOKEN}", ""))
        for header in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", "Bearer \xe9"):
            self.assertFalse(access.admits(header, ""), header)

    def test_cookie(self) -> None:
        """The cookie of a sign-in is taken until the token changes, and does not hold it."""
        access = Access([], TOKEN)
        cookie, *attributes = access.cookie().split("; ")
        self.assertNotIn(TOKEN, cookie)
        self.assertEqual(attributes, ["HttpOnly", "SameSite=Strict", "Path=/"])
        self.assertTrue(access.admits("", f"other=1; {cookie}"))
        self.assertFalse(Access([], TOKEN + "2").admits("", cookie))
        for wrong in ("", f"{COOKIE}=", f"{COOKIE}={TOKEN}", "=;=,", f"{cookie}0"):
            self.assertFalse(access.admits("", wrong), wrong)
