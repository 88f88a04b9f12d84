"""Refused clients, as administrators see them."""

from recodex_monitor.status.refusals import CROWDED, describe
from recodex_monitor.status.refusals import hints as hints_of
from tests.status.support import WALL, InspectionTestCase
from tests.support.clients import Browser
from tests.support.settings import change


class RefusalTests(InspectionTestCase):
    """What is shown of refused clients."""

    def test_origins(self) -> None:
        """Origins are listed, the last one first, with their counts and times."""
        change(self.side.settings, allowed_origins=("https://recodex.example.org",))
        for origin in ("https://evil.example", "null", "null"):
            Browser(self.side).get("/events/job", f"Origin: {origin}")
        self.clock.advance(5)
        shown = self.inspection.status()
        self.assertEqual(
            shown["refused_origins"],
            [
                {"origin": "null", "count": 2, "last": WALL},
                {"origin": "https://evil.example", "count": 1, "last": WALL},
            ],
        )
        last = "origin not allowed: 'null'"
        expected = [{"reason": "origin not allowed", "count": 3, "last": last}]
        self.assertEqual(shown["refused"], expected)
        self.assertEqual(shown["dropped"]["client: origin not allowed"], 3)
        (hint,) = (one for one in shown["hints"] if one["cause"] == "refused")
        self.assertIn("2 x null, 1 x https://evil.example", hint["text"])
        self.assertIn("allowed_origins", hint["remedy"])

    def test_sentences(self) -> None:
        """What the last client was refused for ends as one sentence."""
        refused, details = {"x": 1, "y": 2}, {"x": "x: do this.", "y": "y: that"}
        (hint,) = hints_of(refused, details)
        self.assertTrue(hint.text.endswith("The last: x: do this; y: that."))

    def test_engine_away(self) -> None:
        """Where the engine of a cluster is away, the limits are not to blame."""
        (hint,) = hints_of({"engine away": 3})
        self.assertIn("3 x engine away", hint.text)
        self.assertIn("engine of the cluster runs", hint.remedy)

    def test_crowded_address(self) -> None:
        """An address that looks like a proxy has a hint, which says what to set."""
        change(self.side.settings, max_connections_per_address=1, max_connections=9)
        for _ in range(2):
            Browser(self.side).get("/events/job", "X-Forwarded-For: 192.0.2.9")
        shown = describe(self.side.connections, lambda at: at)
        self.assertEqual([one["reason"] for one in shown["refused"]], [CROWDED])
        for hints in (
            self.inspection.status()["hints"],
            self.inspection.channel("job")["hints"],
        ):
            (hint,) = (one for one in hints if one["cause"] == "proxy")
            for part in ("192.0.2.9", "look like a proxy", "trusted_proxies", "X-Forwarded-For"):
                self.assertIn(part, hint["text"])
