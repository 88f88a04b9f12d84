"""The list of jobs."""

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.status import jobs
from recodex_monitor.status.diagnosis import QUIET
from recodex_monitor.status.jobs import MAX_PAGES, PAGE, RATE, STATES, Query
from recodex_monitor.timing.slices import SLICE
from tests.status.support import InspectionTestCase
from tests.support.messages import message


class QueryTests(SynchronousTestCase):
    """What a request asks for."""

    def test_parsed(self) -> None:
        """Every value may be left out."""
        self.assertEqual(Query.parse({}), Query())
        values = {
            b"state": [b"silent"],
            b"text": [b"\xc4\x8d"],
            b"sort": [b"-last"],
            b"page": [b"3"],
        }
        self.assertEqual(Query.parse(values), Query("silent", "č", "last", reverse=True, page=3))

    def test_wrong(self) -> None:
        """Values that are not allowed are refused, and it is said which are."""
        for values in (
            {b"state": [b"x"]},
            {b"sort": [b"--id"]},
            {b"page": [b"0"]},
            {b"page": [b"\xc2\xb2"]},
            {b"page": [b"%d" % (MAX_PAGES + 1)]},
            {b"page": [b"9" * 5000]},
        ):
            self.assertRaises(ValueError, Query.parse, values)


class JobsTestCase(InspectionTestCase):
    """A monitor with a job in each state."""

    def setUp(self) -> None:
        """Make them, the one that waits first."""
        super().setUp()
        self.follow("waits")
        self.clock.advance(1)
        self.say("expires", "STARTED")
        self.clock.advance(self.hub.settings.channels.idle_timeout)
        self.hub.expire()
        self.say("silent", "STARTED")
        self.clock.advance(QUIET)
        self.say("finished", "STARTED", "TASK a COMPLETED", "FINISHED")
        self.say("failed", "FAILED", "FINISHED")
        self.say("first running", "STARTED")
        self.clock.advance(1)
        self.say("second running", "STARTED")
        self.say("failing", "STARTED", "FAILED")

    def ids(self, **query: object) -> list[str]:
        """The ids of the jobs that a query finds, in their order."""
        return [row["id"] for row in self.rows(**query)]


class OrderTests(JobsTestCase):
    """Which jobs come, and in which order."""

    def test_urgent(self) -> None:
        """Failures come first, then silent jobs, then those that run, the newest first."""
        expected = ["failing", "failed", "expires", "silent", "second running", "first running"]
        self.assertEqual(self.ids(), [*expected, "waits", "finished"])
        self.assertEqual(self.ids(reverse=True)[0], "finished")

    def test_state(self) -> None:
        """Each job is in one state, by which the list can be filtered; all states are counted."""
        found = {state: self.ids(state=state) for state in STATES}
        names = {"waiting": "waits", "expired": "expires"}
        for state, ids in found.items():
            running = ["second running", "first running"]
            self.assertEqual(ids, running if state == "running" else [names.get(state, state)])
        listed = self.listed(state="failed")
        self.assertEqual((listed["total"], listed["counts"]["running"]), (1, 2))
        self.assertEqual(set(listed["counts"]), set(STATES))

    def test_text(self) -> None:
        """A part of the id finds a job; the counts are of those that it finds."""
        told = self.listed(text="run")
        self.assertEqual((told["total"], told["counts"]["running"]), (2, 2))
        self.assertEqual(self.ids(text="d run"), ["second running"])
        self.assertEqual(self.ids(text="none"), [])

    def test_sorted(self) -> None:
        """Jobs are sorted by each column, either way."""
        self.assertEqual(self.ids(sort="id"), sorted(self.ids()))
        self.assertEqual(self.ids(sort="messages", reverse=True)[0], "finished")
        self.assertEqual(self.ids(sort="followers", reverse=True)[0], "waits")
        self.assertEqual(self.ids(sort="began")[:3], ["waits", "expires", "silent"])
        self.assertEqual(self.ids(sort="last")[0], "waits")
        for sort in jobs.SORTS:
            self.assertEqual(len(self.ids(sort=sort)), len(self.ids()))

    def test_restored(self) -> None:
        """A job that ran before a restart is silent when a minute has passed since then."""
        channel = Channel("old")
        channel.extend(text_frame(message("old", "STARTED").text), 1)
        self.hub.restore([(channel, 0)])
        self.assertIn("old", self.ids(state="running"))
        self.clock.advance(QUIET)
        self.assertIn("old", self.ids(state="silent"))


class PageTests(InspectionTestCase):
    """Many jobs."""

    def publish(self, count: int) -> None:
        """Let so many jobs begin."""
        self.hub.publish(message(f"job {number:06}", "STARTED") for number in range(count))

    def test_pages(self) -> None:
        """The pages have all jobs between them, in order."""
        count = 3 * PAGE + 7
        self.publish(count)
        pages = [self.rows(sort="id", page=page) for page in range(1, 5)]
        self.assertEqual([len(one) for one in pages], [PAGE, PAGE, PAGE, 7])
        ids = [row["id"] for rows in pages for row in rows]
        self.assertEqual(ids, [f"job {number:06}" for number in range(count)])
        self.assertEqual(self.rows(page=5), [])
        backwards = [row["id"] for row in self.rows(sort="id", reverse=True, page=4)]
        self.assertEqual(backwards, ids[:7][::-1])

    def test_in_slices(self) -> None:
        """No list holds the reactor up, however many jobs there are, and each query is answered."""
        count = 20_000
        self.publish(count)
        found: list[dict[str, object]] = []
        called = mock.Mock(wraps=self.clock.callLater)
        self.patch(self.clock, "callLater", called)
        for text in ("", "9"):
            self.inspection.list_jobs(Query(text=text), found.append)
            self.inspection.list_jobs(Query(text=text), found.append)
        self.assertEqual(found, [])
        while len(found) < 4:
            self.clock.advance(0)
        self.assertGreater(called.call_count, 10)
        self.assertEqual([one["total"] for one in found[:2]], [count, count])
        self.assertEqual(found[2:], [found[2]] * 2)

    def test_slices_end_by_time(self) -> None:
        """On a slow machine a slice has few steps."""
        self.publish(2000)
        found: list[object] = []
        looked = mock.Mock(wraps=jobs.state_of)
        self.patch(jobs, "state_of", looked)
        times = iter(number * SLICE for number in range(10**6))
        self.patch(self.clock, "seconds", lambda: next(times))
        self.inspection.list_jobs(Query(), found.append)
        self.assertLess(looked.call_count, 500)

    def test_changes_meanwhile(self) -> None:
        """Jobs may come and go while they are listed."""
        self.publish(10_000)
        found: list[dict[str, object]] = []
        self.inspection.list_jobs(Query(), found.append)
        for channel in [*self.hub.channels.values()][:5000]:
            self.hub.retention.remove(channel)
        self.say("new", "STARTED")
        while not found:
            self.clock.advance(0)
        self.assertEqual(found[0]["total"], 10_000)

    def test_rate(self) -> None:
        """Open pages are listed for again only so often that few channels are looked at."""
        self.publish(RATE // 10)
        self.assertTrue(self.inspection.jobs.may_refresh)
        self.listed()
        self.listed(text="x")
        self.assertFalse(self.inspection.jobs.may_refresh)
        self.clock.advance(0.19)
        self.assertFalse(self.inspection.jobs.may_refresh)
        self.clock.advance(0.02)
        self.assertTrue(self.inspection.jobs.may_refresh)
