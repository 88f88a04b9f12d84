"""How the monitor, the list of jobs and one job are described."""

from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.status import inspection, tally
from recodex_monitor.status.inspection import RECENT
from recodex_monitor.status.jobs import PAGE
from recodex_monitor.status.timeline import MESSAGES
from tests.status.support import WALL, InspectionTestCase
from tests.support.clients import Browser
from tests.support.messages import message


class RowTests(InspectionTestCase):
    """The list of jobs."""

    def test_rows(self) -> None:
        """A failing job comes first; each has the tasks of its present attempt."""
        self.say("old", "STARTED", "TASK a FAILED", "ABORTED", "TASK b COMPLETED", "TASK c SKIPPED")
        self.clock.advance(5)
        self.say("new", "FAILED")
        self.follow("old")
        self.follow("unheard")
        new, old, unheard = self.rows()
        self.assertEqual((new["id"], new["state"], new["began"]), ("new", "failing", WALL + 5))
        self.assertEqual((old["id"], old["state"], old["attempts"]), ("old", "running", 2))
        self.assertEqual(old["tasks"], {"completed": 1, "failed": 0, "skipped": 1})
        self.assertEqual((old["followers"], old["last"]), (1, WALL))
        self.assertEqual((unheard["state"], unheard["last"]), ("waiting", None))
        states = {"running": 1, "failing": 1, "waiting": 1, "ended": 0}
        self.assertEqual(self.statistics.states(), states)

    def test_bounded(self) -> None:
        """There are 50 rows at most, the newest jobs of those that run, and how many there are."""
        for number in range(PAGE + 5):
            self.say(f"job {number}", "STARTED")
        told = self.listed()
        self.assertEqual((len(told["channels"]), told["total"], told["pages"]), (50, 55, 2))
        self.assertEqual(told["channels"][0]["id"], f"job {PAGE + 4}")

    def test_tallies_are_bounded(self) -> None:
        """What is counted is remembered of the jobs that were looked at last."""
        self.patch(inspection, "TALLIES", 3)
        for number in range(5):
            self.say(f"job {number}", "TASK a COMPLETED")
        self.assertEqual(sum(one["tasks"]["completed"] for one in self.rows()), 5)
        self.assertEqual(len(self.inspection._tallies), 3)

    def test_tallied_in_parts(self) -> None:
        """Of long logs a part is counted at a time, until all is."""
        self.patch(tally, "TALLIED", 20_000)
        self.say("job", *["TASK a COMPLETED"] * 1000)
        counted = [self.rows()[0]["tasks"]["completed"] for _ in range(10)]
        self.assertLess(counted[0], 1000)
        self.assertEqual(counted[-1], 1000)


class ChannelTests(InspectionTestCase):
    """One job."""

    def test_timeline(self) -> None:
        """Every message has its time."""
        self.say("job", "STARTED")
        self.clock.advance(1.5)
        self.say("job", "TASK a COMPLETED")
        first, second = self.inspection.channel("job")["timeline"]
        self.assertEqual(first, {"number": 1, "at": WALL, "attempt": 1, "command": "STARTED"})
        task = {"command": "TASK", "task_id": "a", "task_state": "COMPLETED"}
        self.assertEqual(second, {"number": 2, "at": WALL + 1.5, "attempt": 1, **task})

    def test_restored(self) -> None:
        """Messages from before a restart have no time, those after it do."""
        channel = Channel("job")
        channel.extend(text_frame(message("job", "STARTED").text), 1)
        self.clock.advance(3)
        self.hub.restore([(channel, 0)])
        told = self.inspection.channel("job")
        self.assertIn("since the restart", told["going_on"])
        self.clock.advance(1)
        self.say("job", "ENDED")
        self.assertEqual(
            [one["at"] for one in self.inspection.channel("job")["timeline"]], [None, WALL + 4]
        )

    def test_bounded(self) -> None:
        """Of a long job the last messages are shown, and how many there are before them."""
        self.say("job", *["TASK a COMPLETED"] * (MESSAGES + 7))
        told = self.inspection.channel("job")
        self.assertEqual((told["omitted"], len(told["timeline"])), (7, MESSAGES))
        self.assertEqual(told["timeline"][0]["number"], 8)

    def test_readers(self) -> None:
        """It is told by which transport, since when and how far behind each follows."""
        self.clock.advance(2)
        self.follow("job")
        events = Browser(self.side)
        events.get("/events/job")
        told = self.inspection.channel("job")["readers"]
        self.assertEqual({one["transport"] for one in told}, {"websocket", "events"})
        self.assertEqual({one["since"] for one in told}, {WALL + 2})
        self.assertEqual({one["behind"] for one in told}, {0})
        self.assertNotIn("address", told[0])

    def test_addresses(self) -> None:
        """Addresses are told only where the settings say so."""
        self.follow("job")
        self.assertIn("address", self.inspect(show_addresses=True).channel("job")["readers"][0])

    def test_ends(self) -> None:
        """A job that was given up, and one that is kept no longer, say so."""
        self.say("job", "FAILED")
        self.clock.advance(self.hub.settings.channels.failed_grace)
        self.hub.expire()
        told = self.inspection.channel("job")
        self.assertEqual((told["state"], told["hints"][0]["cause"]), (End.FAILED, "given-up"))
        self.clock.advance(self.hub.settings.channels.retention)
        self.hub.expire()
        told = self.inspection.channel("job")
        self.assertEqual((told["known"], told["hints"][0]["cause"]), (False, "expired"))
        self.assertIn("was given up", told["advice"])
        self.assertEqual((told["state"], told["began"]), ("forgotten", None))
        at = WALL + self.clock.seconds()
        keys = ("forgotten", "forgotten_at", "end", "outcome", "age", "broker")
        self.assertEqual(
            [told[key] for key in keys], ["failed", at, "failed", "failed", None, False]
        )
        ended = at - self.hub.settings.channels.retention
        self.assertEqual([told[key] for key in ("ended_at", "messages", "followed")], [ended, 2, 0])

    def test_outcome(self) -> None:
        """A job that failed is told as failed, also where FINISHED ended its channel."""
        self.broker.peers.accept(7)
        self.broker.peers.handshake_succeeded()
        self.say("job", "DOWNLOADED", "FAILED", "FINISHED")
        (row,), told = self.rows(), self.inspection.channel("job")
        for one in (row, told):
            found = (one["state"], one["outcome"], one["end"])
            self.assertEqual(found, ("failed", "failed", "finished"))
        self.assertEqual(told["going_on"], "ended 0 s ago (failed), kept for 5 min more")
        self.assertEqual([one["cause"] for one in told["hints"]], ["job-failed"])
        self.assertEqual(self.inspection.status()["outcomes"]["failed"], 1)

    def test_cut_off(self) -> None:
        """Followers that are cut off again and again are told with how long they lasted."""
        self.broker.peers.accept(7)
        self.broker.peers.handshake_succeeded()
        self.say("job", "STARTED")
        for _ in range(3):
            browser = self.follow("job")
            self.clock.advance(10)
            browser.lose()
        told = self.inspection.channel("job")
        self.assertEqual(told["cuts"], [10, 10, 10])
        self.assertEqual([one["cause"] for one in told["hints"]], ["cut-off"])
        self.clock.advance(RECENT + 1)
        self.assertEqual(self.inspection.channel("job")["cuts"], [])

    def test_looking_makes_nothing(self) -> None:
        """To look at an unknown job does not make it known."""
        told = self.inspection.channel("job")
        self.assertEqual((told["known"], told["state"], told["began"]), (False, "unknown", None))
        self.assertEqual(self.hub.channels, {})


class StatusTests(InspectionTestCase):
    """The whole."""

    def test_dropped(self) -> None:
        """What was dropped is told by what and why."""
        self.say("job", "FINISHED", "STARTED")
        dropped = self.inspection.status()["dropped"]
        expected = {"broker message: no command frame": 2, "message: channel ended": 1}
        self.assertEqual(dropped, expected)

    def test_commands(self) -> None:
        """Messages are counted by command, unknown ones together."""
        self.say("job", "STARTED", "x", "y", "TASK a COMPLETED")
        commands = self.inspection.status()["commands"]
        self.assertEqual((commands["STARTED"], commands["other"], commands["TASK"]), (1, 2, 1))
        self.assertEqual(len(commands), 9)

    def test_process(self) -> None:
        """Memory and open files are those of this process."""
        told = self.inspection.status()
        self.assertGreater(told["memory"], 2**20)
        self.assertGreater(told["open_files"], 2)
