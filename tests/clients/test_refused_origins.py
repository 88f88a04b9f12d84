"""The origins whose pages were refused last."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.admission import MAX_ORIGIN
from recodex_monitor.clients.refused_origins import MAX_ORIGINS, RefusedOrigin, RefusedOrigins


class RefusedOriginTests(SynchronousTestCase):
    """What is remembered of refused origins."""

    def test_counted(self) -> None:
        """Each origin has its count and the time of its last refusal; the last comes first."""
        known = RefusedOrigins()
        for now, origin in enumerate(("https://a", "https://b", "https://a")):
            known.add(origin, now)
        expected = [RefusedOrigin("https://a", 2, 2), RefusedOrigin("https://b", 1, 1)]
        self.assertEqual(list(known), expected)

    def test_bounded(self) -> None:
        """Only the last origins are remembered, each up to a length and in printable ASCII."""
        known = RefusedOrigins()
        for number in range(MAX_ORIGINS + 5):
            known.add(f"https://{number}.example", 0)
        self.assertEqual(len(list(known)), MAX_ORIGINS)
        known.add("\x1b\xe9" + "x" * 9999, 0)
        shown = next(iter(known)).origin
        self.assertTrue(shown.isascii() and shown.isprintable(), shown)
        self.assertLess(len(shown), MAX_ORIGIN + 20)
