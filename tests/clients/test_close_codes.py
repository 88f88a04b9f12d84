"""Close codes, and what is said of connections that have ended."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients import close_codes
from recodex_monitor.clients.close_codes import NORMAL, RESTART, counted_code, ending


class CountedCodeTests(SynchronousTestCase):
    """Close codes as statistics count them."""

    def test_known_codes(self) -> None:
        """The codes that the monitor uses, and no code, are counted by themselves."""
        codes = [value for value in vars(close_codes).values() if isinstance(value, int)]
        self.assertIn(NORMAL, codes)
        self.assertEqual([counted_code(code) for code in codes], [str(code) for code in codes])
        self.assertEqual(counted_code(None), "1005")

    def test_other_codes(self) -> None:
        """All other codes, which clients choose, are counted as one: the texts are few."""
        codes = (0, 999, 1004, 1010, 3000, 4999)
        self.assertEqual({counted_code(code) for code in codes}, {"other"})


class EndingTests(SynchronousTestCase):
    """How a connection has ended."""

    def test_by_us(self) -> None:
        """Our code counts, even if the client answers with another, or not at all."""
        for theirs, is_clean in ((1001, True), (None, False)):
            ended = ending(RESTART, theirs, is_clean=is_clean)
            self.assertEqual(ended, ("1012", "closed by us with 1012"))

    def test_by_the_client(self) -> None:
        """The client's code counts if it has closed; it may have sent none."""
        self.assertEqual(ending(None, 1001, is_clean=True)[0], "1001")
        ended = ending(None, None, is_clean=True)
        self.assertEqual(ended, ("1005", "closed by the client with no code"))

    def test_lost(self) -> None:
        """A connection without close frames was lost, whatever the client may have sent."""
        for theirs in (None, 1000):
            ended = ending(None, theirs, is_clean=False)
            self.assertEqual(ended, ("1006", "the connection was lost"))
