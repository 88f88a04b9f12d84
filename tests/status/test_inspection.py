"""What people may see of a monitor."""

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.broker.peers import Peers
from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.status import inspection
from recodex_monitor.status.inspection import MESSAGES, ROWS, SAMPLE, SAMPLES, View
from recodex_monitor.status.tally import Tally
from tests.support.clients import Browser, message, service

WALL = 1_000_000.0
"""The wall clock's time at the start."""


class Broker:
    """The broker's side, as the view wants it."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.dropped: Mapping[str, int] = {"no command frame": 2}
        self.addresses: list[Any] = ["127.0.0.1:7894"]


class ViewTestCase(SynchronousTestCase):
    """A hub, browsers, and a view of them."""

    def setUp(self) -> None:
        """A view from the start on."""
        self.clock, self.hub, self.side = service(max_connections=2)
        self.broker = Broker(Peers(self.clock.seconds))
        self.view = self.look()

    def look(self, **options: Any) -> View:
        """Another view."""
        wall = lambda: WALL + self.clock.seconds()  # noqa: E731
        parts = (self.hub, self.side.reception, self.broker, self.clock)
        return View(*parts, settings={}, wall=wall, **options)

    def say(self, channel_id: str, *texts: str) -> None:
        """Let the broker send messages, each as its frames with spaces in between."""
        self.hub.publish([message(channel_id, *text.split()) for text in texts])

    def follow(self, channel_id: str, query: str = "x=1") -> Browser:
        """A browser that follows a channel."""
        browser = Browser(self.side)
        browser.follow(channel_id, query)
        return browser


class TotalTests(ViewTestCase):
    """Numbers that only grow."""

    def test_deliveries(self) -> None:
        """What readers have got is the same number while they read and when they have gone."""
        self.say("job", "STARTED", "TASK a COMPLETED")
        browser = self.follow("job")
        size = len(self.hub.channels["job"].log)
        before = self.view.totals()
        self.assertEqual((before.deliveries, before.bytes, before.followers), (2, size, 1))
        browser.lose()
        after = self.view.totals()
        self.assertEqual((after.deliveries, after.bytes, after.followers), (2, size, 0))

    def test_resumed(self) -> None:
        """Who resumes has not got what it skipped."""
        self.say("job", "STARTED", "TASK a COMPLETED", "TASK b COMPLETED")
        browser = self.follow("job", f"after={self.hub.channels['job'].epoch}:2")
        self.assertEqual(self.view.totals().deliveries, 1)
        browser.lose()
        self.assertEqual(self.view.totals().deliveries, 1)

    def test_slow(self) -> None:
        """Who does not take what is due is slow, and has got what it took."""
        browser = self.follow("job")
        browser.transport.full = True
        self.say("job", "STARTED")
        self.say("job", "TASK a COMPLETED")
        totals = self.view.totals()
        self.assertEqual((totals.deliveries, totals.slow), (1, 1))

    def test_never_fewer(self) -> None:
        """The numbers do not shrink when a channel is let go that somebody still reads."""
        self.say("job", "STARTED")
        browser = self.follow("job")
        browser.transport.full = True
        self.say("job", "TASK a COMPLETED", "FINISHED")
        before = self.view.totals()
        self.clock.advance(self.hub.bounds.retention + 1)
        self.hub.expire()
        self.assertNotIn("job", self.hub.channels)
        self.assertEqual(self.view.totals().deliveries, before.deliveries)

    def test_refused(self) -> None:
        """Refused clients are counted by reason, and told while samples reach back to them."""
        self.follow("a"), self.follow("b")
        self.view.sample()
        Browser(self.side).get("/channels/c")
        self.assertEqual(self.view.refused(), {"too many connections": 1})
        for _ in range(SAMPLES + 1):
            self.view.sample()
        self.assertEqual(self.view.refused(), {})


class ChartTests(ViewTestCase):
    """The last 15 minutes."""

    def test_rates(self) -> None:
        """Rates are a second's, the lag is the longest since the last sample."""
        self.view.sample()
        self.follow("job")
        self.say("job", *["TASK a COMPLETED"] * 20)
        self.view.lagged(0.25)
        self.view.lagged(0.1)
        self.clock.advance(SAMPLE)
        self.view.sample()
        charts = {"followers": [1], "connects": [0.1], "deliveries": [2], "messages": [2]}
        self.assertEqual(self.view.charts(), {**charts, "lag": [250]})

    def test_bounded(self) -> None:
        """There are 90 values at most."""
        for _ in range(SAMPLES + 20):
            self.view.sample()
        self.assertEqual(len(self.view.charts()["lag"]), SAMPLES)


class RowTests(ViewTestCase):
    """The list of jobs."""

    def test_rows(self) -> None:
        """The newest job comes first, with its tasks of this attempt; unheard-of ones are out."""
        self.say("old", "STARTED", "TASK a FAILED", "ABORTED", "TASK b COMPLETED", "TASK c SKIPPED")
        self.clock.advance(5)
        self.say("new", "FAILED")
        self.follow("old")
        self.follow("unheard")
        new, old = self.view.channels()
        self.assertEqual((new["id"], new["state"], new["began"]), ("new", "failing", WALL + 5))
        self.assertEqual((old["id"], old["state"], old["attempts"]), ("old", "running", 2))
        self.assertEqual(old["tasks"], {"completed": 1, "failed": 0, "skipped": 1})
        self.assertEqual((old["followers"], old["last"]), (1, WALL))
        states = {"running": 1, "failing": 1, "waiting": 1, "ended": 0}
        self.assertEqual(self.view.states(), states)

    def test_bounded(self) -> None:
        """There are 200 rows at most, and as many tallies."""
        for number in range(ROWS + 5):
            self.say(f"job {number}", "STARTED")
        rows = self.view.channels()
        self.assertEqual((len(rows), rows[0]["id"]), (ROWS, f"job {ROWS + 4}"))

    def test_tallied_in_parts(self) -> None:
        """Of long logs a part is counted at a time, until all is."""
        self.patch(inspection, "TALLIED", 20_000)
        self.say("job", *["TASK a COMPLETED"] * 1000)
        counted = [self.view.channels()[0]["tasks"]["completed"] for _ in range(10)]
        self.assertLess(counted[0], 1000)
        self.assertEqual(counted[-1], 1000)

    def test_texts_in_ids(self) -> None:
        """A task whose name looks like a state is no such task."""
        tally, channel = Tally(), Channel("job")
        channel.append(message("job", "TASK", '", "task_state": "FAILED"}', "COMPLETED").text)
        tally.feed(bytes(channel.log))
        self.assertEqual(tally.tasks, {"completed": 1, "failed": 0, "skipped": 0})


class ChannelTests(ViewTestCase):
    """One job."""

    def test_timeline(self) -> None:
        """Every message has its time."""
        self.say("job", "STARTED")
        self.clock.advance(1.5)
        self.say("job", "TASK a COMPLETED")
        first, second = self.view.channel("job")["timeline"]
        self.assertEqual(first, {"number": 1, "at": WALL, "command": "STARTED"})
        task = {"command": "TASK", "task_id": "a", "task_state": "COMPLETED"}
        self.assertEqual(second, {"number": 2, "at": WALL + 1.5, **task})

    def test_restored(self) -> None:
        """Messages from before a restart have no time, those after it do."""
        channel = Channel("job")
        channel.append(message("job", "STARTED").text)
        self.clock.advance(3)
        self.hub.restore([(channel, 0)])
        told = self.view.channel("job")
        self.assertIn("since the restart", told["going_on"])
        self.clock.advance(1)
        self.say("job", "ENDED")
        self.assertEqual(
            [one["at"] for one in self.view.channel("job")["timeline"]], [None, WALL + 4]
        )

    def test_bounded(self) -> None:
        """Of a long job the last messages are shown, and how many there are before them."""
        self.say("job", *["TASK a COMPLETED"] * (MESSAGES + 7))
        told = self.view.channel("job")
        self.assertEqual((told["omitted"], len(told["timeline"])), (7, MESSAGES))
        self.assertEqual(told["timeline"][0]["number"], 8)

    def test_readers(self) -> None:
        """It is told by which transport, since when and how far behind each follows."""
        self.clock.advance(2)
        self.follow("job")
        events = Browser(self.side)
        events.get("/events/job")
        told = self.view.channel("job")["readers"]
        self.assertEqual({one["transport"] for one in told}, {"websocket", "events"})
        self.assertEqual({one["since"] for one in told}, {WALL + 2})
        self.assertEqual({one["behind"] for one in told}, {0})
        self.assertNotIn("address", told[0])

    def test_addresses(self) -> None:
        """Addresses are told only where the settings say so."""
        self.follow("job")
        self.assertIn("address", self.look(show_addresses=True).channel("job")["readers"][0])

    def test_ends(self) -> None:
        """A job that was given up, and one that is kept no longer, say so."""
        self.say("job", "FAILED")
        self.clock.advance(self.hub.bounds.failed_grace)
        self.hub.expire()
        told = self.view.channel("job")
        self.assertEqual((told["state"], told["hints"][0]["cause"]), (End.FAILED, "given-up"))
        self.clock.advance(self.hub.bounds.retention)
        self.hub.expire()
        told = self.view.channel("job")
        self.assertEqual((told["known"], told["hints"][0]["cause"]), (False, "expired"))

    def test_cut_off(self) -> None:
        """Followers that are cut off again and again are told with how long they lasted."""
        self.broker.peers.came()
        self.say("job", "STARTED")
        for _ in range(3):
            browser = self.follow("job")
            self.clock.advance(10)
            browser.lose()
        told = self.view.channel("job")
        self.assertEqual(told["cuts"], [10, 10, 10])
        self.assertEqual([one["cause"] for one in told["hints"]], ["cut-off"])

    def test_looking_makes_nothing(self) -> None:
        """To look at an unknown job does not make it known."""
        self.assertFalse(self.view.channel("job")["known"])
        self.assertEqual(self.hub.channels, {})


class StatusTests(ViewTestCase):
    """The whole."""

    def test_dropped(self) -> None:
        """What was dropped is told by what and why."""
        self.say("job", "FINISHED", "STARTED")
        dropped = self.view.status()["dropped"]
        expected = {"broker message: no command frame": 2, "message: channel ended": 1}
        self.assertEqual(dropped, expected)

    def test_commands(self) -> None:
        """Messages are counted by command, unknown ones together."""
        self.say("job", "STARTED", "x", "y", "TASK a COMPLETED")
        commands = self.view.status()["commands"]
        self.assertEqual((commands["STARTED"], commands["other"], commands["TASK"]), (1, 2, 1))
        self.assertEqual(len(commands), 9)

    def test_process(self) -> None:
        """Memory and open files are those of this process."""
        told = self.view.status()
        self.assertGreater(told["memory"], 2**20)
        self.assertGreater(told["open_files"], 2)
