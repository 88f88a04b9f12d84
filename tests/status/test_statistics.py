"""Totals and charts."""

from collections import Counter

from recodex_monitor.status.statistics import SAMPLE, SAMPLES, Statistics
from tests.status.support import InspectionTestCase
from tests.support.clients import Browser


class TotalTests(InspectionTestCase):
    """Numbers that only grow."""

    def test_deliveries(self) -> None:
        """What readers have got is the same number while they read and when they have gone."""
        self.say("job", "STARTED", "TASK a COMPLETED")
        browser = self.follow("job")
        size = len(self.hub.channels["job"].log)
        before = self.statistics.totals()
        self.assertEqual((before.deliveries, before.bytes, before.followers), (2, size, 1))
        browser.lose()
        after = self.statistics.totals()
        self.assertEqual((after.deliveries, after.bytes, after.followers), (2, size, 0))

    def test_resumed(self) -> None:
        """Who resumes has not got what it skipped."""
        self.say("job", "STARTED", "TASK a COMPLETED", "TASK b COMPLETED")
        browser = self.follow("job", f"after={self.hub.channels['job'].epoch}:2")
        self.assertEqual(self.statistics.totals().deliveries, 1)
        browser.lose()
        self.assertEqual(self.statistics.totals().deliveries, 1)

    def test_slow(self) -> None:
        """Who does not take what is due is slow, and has got what it took."""
        browser = self.follow("job")
        browser.transport.full = True
        self.say("job", "STARTED")
        self.say("job", "TASK a COMPLETED")
        totals = self.statistics.totals()
        self.assertEqual((totals.deliveries, totals.slow), (1, 1))

    def test_trials(self) -> None:
        """A job of the doctor's, and whoever follows it, is in no number and in no list."""
        before = self.statistics.totals(), self.statistics.states()
        browser = self.follow("doctor_1")
        self.say("doctor_1", "STARTED", "TASK a COMPLETED")
        address = self.inspection.channel("doctor_1")["readers"][0]["address"]
        self.assertTrue(address)
        during = self.statistics.totals(), self.statistics.states()
        self.assertEqual((during, self.rows()), (before, []))
        self.say("doctor_1", "FINISHED")
        browser.lose()
        self.assertEqual((self.statistics.totals(), self.statistics.states()), before)
        self.assertEqual(self.hub.counters.gone, {})
        self.clock.advance(6)
        self.hub.expire()
        self.assertEqual(self.inspection.channel("doctor_1")["state"], "unknown")

    def test_never_fewer(self) -> None:
        """The numbers do not shrink when a channel is let go that somebody still reads."""
        self.say("job", "STARTED")
        browser = self.follow("job")
        browser.transport.full = True
        self.say("job", "TASK a COMPLETED", "FINISHED")
        before = self.statistics.totals()
        self.clock.advance(self.hub.settings.channels.retention + 1)
        self.hub.expire()
        self.assertNotIn("job", self.hub.channels)
        self.assertEqual(self.statistics.totals().deliveries, before.deliveries)

    def test_refused(self) -> None:
        """Refused clients are counted by reason, and told while samples reach back to them."""
        self.follow("a"), self.follow("b")
        self.statistics.sample()
        Browser(self.side).get("/channels/c")
        self.assertEqual(self.statistics.refused(), {"too many connections": 1})
        for _ in range(SAMPLES + 1):
            self.statistics.sample()
        self.assertEqual(self.statistics.refused(), {})


class DroppedTests(InspectionTestCase):
    """What was dropped."""

    def test_of_others(self) -> None:
        """What other parts have dropped is told too, such as lines of the log."""
        lines = Counter({"nothing takes its lines": 3})
        statistics = Statistics(
            self.hub,
            self.statistics.connections,
            self.statistics.broker,
            self.clock,
            {"log line": lines},
        )
        self.assertEqual(statistics.dropped()["log line: nothing takes its lines"], 3)


class ChartTests(InspectionTestCase):
    """The last 15 minutes."""

    def test_rates(self) -> None:
        """Rates are a second's, the lag is the longest since the last sample."""
        self.statistics.sample()
        self.follow("job")
        self.say("job", *["TASK a COMPLETED"] * 20)
        self.statistics.lagged(0.25)
        self.statistics.lagged(0.1)
        self.clock.advance(SAMPLE)
        self.statistics.sample()
        charts = {"followers": [1], "connects": [0.1], "deliveries": [2], "messages": [2]}
        self.assertEqual(self.statistics.charts(), {**charts, "lag": [250]})

    def test_bounded(self) -> None:
        """There are 90 values at most."""
        for _ in range(SAMPLES + 20):
            self.statistics.sample()
        self.assertEqual(len(self.statistics.charts()["lag"]), SAMPLES)
