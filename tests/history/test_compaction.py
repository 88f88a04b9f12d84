"""Compaction: the history file does not grow far beyond what is kept in it."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.history import compaction, syncing
from recodex_monitor.timing import slices
from tests.history.support import RETENTION, Monitor, folder
from tests.support.settings import change


class CompactionTestCase(SynchronousTestCase):
    """A monitor that compacts its file early, in small steps."""

    def setUp(self) -> None:
        """Make it."""
        self.patch(compaction, "MARGIN", 20_000)
        self.patch(compaction, "SMALL_RECORDS", 50)
        self.patch(syncing, "CHECKPOINT", 50_000)
        self.clock = Clock()
        self.monitor = Monitor(folder(self), self.clock, max_history_bytes=100_000)
        self.limit_tombstones(0)
        self.monitor.start()
        self.addCleanup(self.monitor.close)

    def limit_tombstones(self, most: int) -> None:
        """Let the monitor remember so many channels."""
        self.monitor.bounds["max_tombstones"] = most
        change(self.monitor.hub.settings, max_tombstones=most)

    def records(self) -> list[bytes]:
        """The data of all records."""
        return [data for (data,) in self.monitor.journal._db.execute("SELECT data FROM log")]

    def size(self) -> int:
        """The bytes of the history file and of SQLite's files beside it."""
        return sum(file.stat().st_size for file in self.monitor.folder.glob("history.db*"))

    def assert_kept(self) -> None:
        """A monitor that starts after a kill has the same state."""
        other = self.monitor.after_kill().start()
        self.assertEqual(other.state(), self.monitor.state())
        other.journal.close()


class ForgottenTests(CompactionTestCase):
    """Forgotten channels are removed."""

    def test_forgotten_channels(self) -> None:
        """Entries of forgotten channels are removed, those of others stay."""
        self.monitor.publish("stays", "A")
        for number in range(200):
            self.monitor.publish(f"job-{number}", "A", "FINISHED")
            self.monitor.publish("stays", f"B{number}")
        self.monitor.let_pass(RETENTION + 2)
        content = b"".join(self.records())
        self.assertNotIn(b"job-", content)
        self.assertIn(b'"B199"', content)
        self.assert_kept()

    def test_all(self) -> None:
        """If no channel is kept, no more is left than the margin allows."""
        for number in range(200):
            self.monitor.publish(f"job-{number}", "A", "FINISHED")
        self.monitor.let_pass(RETENTION + 2)
        self.assertLess(sum(map(len, self.records())), 100)

    def test_after_a_restart(self) -> None:
        """Channels that were forgotten before a kill are removed by the next monitor."""
        for number in range(200):
            self.monitor.publish(f"job-{number}", "A", "FINISHED")
        self.patch(compaction, "MARGIN", 10**9)
        self.monitor.let_pass(RETENTION + 2)
        self.assertIn(b"job-", b"".join(self.records()))
        self.patch(compaction, "MARGIN", 20_000)
        self.monitor = self.monitor.after_kill().start()
        self.monitor.let_pass(2)
        self.assertNotIn(b"job-", b"".join(self.records()))

    def test_killed_in_a_compaction(self) -> None:
        """A kill at any step of a compaction brings no forgotten channel back."""
        self.patch(compaction, "STEP_RECORDS", 3)
        self.patch(slices, "STEPS", 1)
        self.patch(compaction, "MARGIN", 10**9)
        for number in range(100):
            self.monitor.publish(f"job-{number}", *["A"] * 10)
        self.monitor.publish("stays", "A")
        for number in range(100):
            self.monitor.publish(f"job-{number}", *["B"] * 10, "FINISHED")
        self.monitor.let_pass(RETENTION)
        self.clock.advance(0)
        self.assertEqual(set(self.monitor.state()), {"stays"})
        sizes = set()
        self.patch(compaction, "MARGIN", 0)
        self.monitor.journal.tick()
        while self.clock.calls:
            self.assert_kept()
            sizes.add(sum(map(len, self.records())))
            self.clock.calls.pop().func()
        self.assertGreater(len(sizes), 20)
        self.assertLess(min(sizes), 1000)

    def test_forgotten_while_records_are_merged(self) -> None:
        """A channel that is evicted while records are merged does not come back."""
        for number in range(100):
            self.monitor.publish("job", f"A{number}")
        self.monitor.let_pass(1)
        change(self.monitor.hub.settings, max_channels=1)
        for number in range(100):
            self.monitor.publish("other", f"B{number}")
        self.monitor.let_pass(2)
        self.assertEqual(set(self.monitor.state()), {"other"})
        self.assert_kept()


class SummaryTests(CompactionTestCase):
    """What became of forgotten channels stays known."""

    def test_kept(self) -> None:
        """As many of the newest are known after compaction and a kill as the limit says."""
        self.limit_tombstones(20)
        for number in range(200):
            self.monitor.publish(f"job-{number}", "A", *(["FAILED"] * (number % 2)), "FINISHED")
            self.monitor.let_pass(1)
        for _ in range(3):
            self.monitor.let_pass(RETENTION + 5)
            self.assertLess(sum(map(len, self.records())), 10_000)
            self.monitor = self.monitor.after_kill().start()
            self.addCleanup(self.monitor.close)
            self.assertIsNone(self.outcome("job-179"))
            self.assertEqual(self.outcome("job-190"), "finished")
            self.assertEqual(self.outcome("job-199"), "failed")
            self.monitor.publish("again", "A")
            self.monitor.publish("again", "FINISHED")

    def outcome(self, channel_id: str) -> str | None:
        """How a channel that is remembered had gone."""
        found = self.monitor.hub.retention.tombstones.get(channel_id)
        return found and found.outcome

    def test_numbers(self) -> None:
        """Channels that begin after a restart do not get the numbers of those that are known."""
        self.limit_tombstones(20)
        for number in range(200):
            self.monitor.publish(f"job-{number}", "A", "FINISHED")
        self.monitor.let_pass(RETENTION + 2)
        monitor = self.monitor.after_kill().start()
        monitor.publish("new", "A")
        self.assertEqual(monitor.hub.channels["new"].number, 201)


class SmallTests(CompactionTestCase):
    """Small records are merged."""

    def test_merged(self) -> None:
        """Many small records become few, with the same content."""
        for number in range(1000):
            self.monitor.publish(f"job-{number % 10}", f"A{number}")
            if number % 100 == 0:
                self.monitor.let_pass(1)
        self.monitor.let_pass(1)
        self.assertLess(len(self.records()), 50)
        self.assert_kept()

    def test_large_ones_stay(self) -> None:
        """Large records are left alone, and the order stays."""
        for _ in range(15):
            self.monitor.publish("job", *["x" * 100] * 50)
            for _ in range(10):
                self.monitor.publish("job", "A")
        self.monitor.let_pass(2)
        self.assertEqual(len(self.records()), 30)
        self.assert_kept()


class SizeTests(CompactionTestCase):
    """The size of the file over time."""

    def test_day(self) -> None:
        """After a day of jobs the file is as large as after its first hour, and small.

        Each tenth of an hour has five jobs of a kilobyte and more, twice MARGIN each hour.
        """
        sizes = []
        for hour in range(24):
            for tenth in range(10):
                for number in range(5):
                    job = f"job-{hour}-{tenth}-{number}"
                    self.monitor.publish(job, *["x" * 100] * 5)
                    self.monitor.publish(job, *["x" * 100] * 5)
                    self.monitor.publish(job, "FINISHED")
                self.clock.advance(360)
                self.monitor.let_pass(1)
            sizes.append(self.size())
        self.assertLess(max(sizes), 400_000)
        self.assertLess(max(sizes), 1.5 * sizes[1])
        self.assertLess(len(self.monitor.journal._compaction._dead), 200)
        self.assert_kept()

    def test_bound(self) -> None:
        """However much is published, the file is at most four times as large as the histories."""
        largest = 0
        for number in range(600):
            self.monitor.publish(f"job-{number}", *["x" * 100] * 10)
            self.monitor.publish(f"job-{number - 5}", *["x" * 100] * 10, "FINISHED")
            if number % 10 == 0:
                self.monitor.let_pass(1)
                largest = max(largest, (self.monitor.folder / "history.db").stat().st_size)
        self.assertLess(largest, 4 * 100_000)
        self.assert_kept()


class FailureTests(CompactionTestCase):
    """Compaction fails."""

    def test_tried_again(self) -> None:
        """A compaction that fails loses nothing and is tried again."""
        for number in range(200):
            self.monitor.publish(f"job-{number}", "A", "FINISHED")
        db = self.monitor.journal._db
        db.execute("CREATE TRIGGER fail BEFORE DELETE ON log BEGIN SELECT RAISE(FAIL, 'no'); END")
        self.monitor.let_pass(RETENTION + 2)
        self.assertIn(b"job-", b"".join(self.records()))
        self.assert_kept()
        db.execute("DROP TRIGGER fail")
        self.monitor.let_pass(6)
        self.assertNotIn(b"job-", b"".join(self.records()))
        self.assert_kept()
