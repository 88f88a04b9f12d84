"""What is wrong with the monitor as a whole."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.status.problems import FEW, LATE, Seen, problems
from recodex_monitor.status.refusals import ORIGIN, hints
from recodex_monitor.status.statistics import SAMPLE, SAMPLES
from tests.status.support import InspectionTestCase
from tests.support.settings import change


def causes(seen: Seen) -> list[str]:
    """The causes that are named."""
    return [hint.cause for hint in problems(seen)]


class ProblemTests(SynchronousTestCase):
    """Each problem in words."""

    def test_none(self) -> None:
        """Of a healthy monitor nothing is said."""
        self.assertEqual(causes(Seen(followers=2000, slow=FEW, late=0.1)), [])

    def test_each(self) -> None:
        """Each problem has its cause and a remedy."""
        table = {
            "history": Seen(unready=["the history cannot be saved"]),
            "not-ready": Seen(unready=["the monitor stops"]),
            "limit": Seen(limits={"max_channels": 3}),
            "dropped": Seen(dropped={"no command frame": 2}),
            "slow-followers": Seen(followers=100, slow=FEW + 1),
            "lag": Seen(late=LATE),
        }
        for cause, seen in table.items():
            (hint,) = problems(seen)
            self.assertEqual(hint.cause, cause)
            self.assertTrue(hint.remedy, cause)
            self.assertTrue(hint.text.endswith("."), hint.text)

    def test_told_elsewhere(self) -> None:
        """An engine that is away and limits of clients have hints of their own."""
        self.assertEqual(causes(Seen(unready=["the engine has been away for 9 s"])), [])
        self.assertEqual(causes(Seen(limits={"max_connections": 3})), [])

    def test_few_of_many(self) -> None:
        """Where many follow, a few slow ones are no problem."""
        self.assertEqual(causes(Seen(followers=2000, slow=100)), [])
        self.assertEqual(causes(Seen(followers=2000, slow=101)), ["slow-followers"])


class RefusedTests(SynchronousTestCase):
    """Clients that are refused, with what to do about it."""

    def test_each_reason(self) -> None:
        """Each reason that an administrator can mend has a sentence, all others have one."""
        refused = {ORIGIN: 3, "not found": 9, "token: expired": 1, "long head": 2, "no room": 0}
        told = [*hints(refused, {}, [("https://a.example", 2), ("null", 1)])]
        self.assertEqual({hint.cause for hint in told}, {"refused"})
        origin, token, others = told
        self.assertIn("allowed_origins", origin.remedy)
        self.assertIn("The last origins: 2 x https://a.example, 1 x null.", origin.text)
        self.assertIn("new token", token.remedy)
        self.assertIn("9 x not found, 2 x long head.", others.text)

    def test_tokens(self) -> None:
        """What to do about a token depends on what is wrong with it."""
        for detail, wanted in (
            ("missing", "access.required"),
            ("channel", "`channels`"),
            ("signature", "access.key_file"),
            ("malformed", "access.key_file"),
        ):
            (token,) = hints({f"token: {detail}": 1})
            self.assertIn(wanted, token.remedy)


class SeenTests(InspectionTestCase):
    """What is seen of a real monitor's parts."""

    def causes(self) -> list[str]:
        """The causes that the status names, but for the broker's."""
        told = [one["cause"] for one in self.inspection.status()["hints"]]
        return [cause for cause in told if cause != "never-connected"]

    def test_limit(self) -> None:
        """A limit is told for 15 minutes after it was reached."""
        change(self.hub.settings, max_channel_messages=1)
        self.statistics.sample()
        self.say("job", "STARTED", "TASK a COMPLETED")
        self.assertEqual(self.causes(), ["limit"])
        for _ in range(SAMPLES + 1):
            self.clock.advance(SAMPLE)
            self.statistics.sample()
        self.assertEqual(self.causes(), [])

    def test_dropped(self) -> None:
        """Messages of the broker that were dropped are told, if they are new."""
        self.statistics.sample()
        self.assertEqual(self.causes(), [])
        self.broker.dropped = {"no command frame": 3}
        self.assertEqual(self.causes(), ["dropped"])

    def test_lag(self) -> None:
        """A late loop is told for a minute."""
        self.statistics.lagged(2.0)
        self.assertEqual(self.causes(), ["lag"])
        for _ in range(7):
            self.statistics.sample()
        self.assertEqual(self.causes(), [])

    def test_unready(self) -> None:
        """What keeps the monitor from being ready is told."""
        self.statistics.unready = lambda: ["the history cannot be saved"]
        self.assertEqual(self.causes(), ["history"])
