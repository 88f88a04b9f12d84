"""What is concluded from the answer of the public address."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor import probing
from recodex_monitor.doctor.answers import Refusal
from recodex_monitor.doctor.findings import Level
from recodex_monitor.doctor.probing import Answer
from recodex_monitor.doctor.ways import Way, trusting
from tests.doctor.support import PUBLIC, levels

RIGHT = Answer(Refusal(200, '{"channel": '), (PUBLIC.origin,), 0.2, is_monitor=True)


class PrefixTests(SynchronousTestCase):
    """Whether the monitor answers."""

    def test_right(self) -> None:
        """It does, also where it asks for a token."""
        for answer in (RIGHT, Answer(Refusal(401, "401 Unauthorized\nThe token"))):
            self.assertEqual(probing.prefix(PUBLIC, answer).level, Level.OK)

    def test_wrong(self) -> None:
        """Each other answer is explained."""
        for refusal, text in (
            (Refusal(404, "<html>nginx"), "not led to the monitor"),
            (Refusal(404, "There is nothing at this path."), "rewrite"),
            (Refusal(502), "prefix"),
            (Refusal(504), "firewall"),
            (Refusal(301, location="https://h/"), "redirects /ws to https://h/"),
            (Refusal(200, "<html>"), "another server"),
            (Refusal(418, "a teapot"), "418: a teapot"),
        ):
            found = probing.prefix(PUBLIC, Answer(refusal))
            self.assertEqual(found.level, Level.FAIL)
            self.assertIn(text, found.seen + found.remedy)
        self.assertEqual(probing.prefix(PUBLIC, "reset").level, Level.FAIL)


class OriginTests(SynchronousTestCase):
    """Whether pages may connect, and read."""

    def test_levels(self) -> None:
        """A header that is missing, doubled or another's is wrong."""
        refused = Answer(Refusal(403, f"403 Forbidden\n{probing.ORIGIN}."))
        for answer, level in (
            (RIGHT, Level.OK),
            (RIGHT._replace(allowed=()), Level.FAIL),
            (RIGHT._replace(allowed=("*", PUBLIC.origin)), Level.FAIL),
            (refused, Level.FAIL),
        ):
            (found,) = probing.origin(PUBLIC, answer)
            self.assertEqual(found.level, level)
        self.assertEqual(list(probing.origin(PUBLIC, "reset")), [])
        self.assertEqual(list(probing.origin(PUBLIC, Answer(Refusal(502)))), [])


class ClockTests(SynchronousTestCase):
    """Clocks that differ."""

    def test_levels(self) -> None:
        """The one that is off most is named."""
        for apart, level in ((1.0, Level.OK), (-10.0, Level.WARN), (3600.0, Level.FAIL)):
            answers = [("the monitor", RIGHT), ("it", RIGHT._replace(apart=apart))]
            (found,) = probing.clock(answers)
            self.assertEqual(found.level, level)
        self.assertIn("it is 3600 s ahead", found.seen)
        self.assertEqual(list(probing.clock([("it", "reset")])), [])


class CertificateTests(SynchronousTestCase):
    """How long a certificate lasts."""

    def test_days(self) -> None:
        """It should have been renewed, or must be."""
        for days, level in ((90, Level.OK), (15, Level.WARN), (7, Level.FAIL), (-1, Level.FAIL)):
            self.assertEqual(probing._lasting(days, "TLSv1.3").level, level)

    def test_no_tls(self) -> None:
        """Where no TLS is spoken, nothing else is tried; the address of IPv6 is in brackets."""

        def refuse(_: object) -> None:
            raise OSError("handshake failure")

        self.patch(Way, "secured", refuse)
        self.patch(Way, "connect", refuse)
        way = replace(PUBLIC, host="::1", tls=trusting())
        self.assertFalse(probing.has_tls(way))
        (found,) = probing.certificate(way)
        self.assertIn("no TLS with [::1]:80", found.seen)

    def test_plain(self) -> None:
        """Without TLS there is nothing to look at, but a warning."""
        plain = replace(PUBLIC, tls=None)
        self.assertEqual(levels(list(probing.certificate(plain))), {"certificate": "warn"})
        self.assertEqual(list(probing.http2(plain)), [])
