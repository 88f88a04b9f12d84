"""The file of histories does not grow beyond what is kept in it."""

from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.history import compaction, syncing
from recodex_monitor.timing import slices
from tests.history.test_journal import RETENTION, Monitor, folder


class SweepTestCase(SynchronousTestCase):
    """A monitor that sweeps early, in small steps."""

    def setUp(self) -> None:
        """Make it."""
        self.patch(compaction, "MARGIN", 20_000)
        self.patch(compaction, "SMALL_RECORDS", 50)
        self.patch(syncing, "CHECKPOINT", 50_000)
        self.clock = Clock()
        self.monitor = Monitor(folder(self), self.clock, max_history_bytes=100_000).start()
        self.addCleanup(self.monitor.close)

    def records(self) -> list[bytes]:
        """The data of all records."""
        return [data for (data,) in self.monitor.journal._db.execute("SELECT data FROM log")]

    def size(self) -> int:
        """The bytes of the file and of what SQLite has beside it."""
        return sum(file.stat().st_size for file in self.monitor.folder.glob("history.db*"))

    def assert_kept(self) -> None:
        """A monitor that is started after a kill has the same."""
        other = self.monitor.after_kill().start()
        self.assertEqual(other.state(), self.monitor.state())
        other.journal.close()


class DeadTests(SweepTestCase):
    """What no channel needs is taken out."""

    def test_forgotten_channels(self) -> None:
        """The entries of channels that were forgotten go, and those of others stay."""
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
        """Where nothing is kept nothing is left but what is below the margin."""
        for number in range(200):
            self.monitor.publish(f"job-{number}", "A", "FINISHED")
        self.monitor.let_pass(RETENTION + 2)
        self.assertLess(sum(map(len, self.records())), 100)

    def test_after_a_restart(self) -> None:
        """What was dead when a monitor was killed is taken out by the next one."""
        for number in range(200):
            self.monitor.publish(f"job-{number}", "A", "FINISHED")
        self.patch(compaction, "MARGIN", 10**9)
        self.monitor.let_pass(RETENTION + 2)
        self.assertIn(b"job-", b"".join(self.records()))
        self.patch(compaction, "MARGIN", 20_000)
        self.monitor = self.monitor.after_kill().start()
        self.monitor.let_pass(2)
        self.assertNotIn(b"job-", b"".join(self.records()))

    def test_killed_in_a_sweep(self) -> None:
        """Whatever a sweep that was not finished has left, nothing that was forgotten is back."""
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

    def test_forgotten_while_records_are_put_together(self) -> None:
        """A channel that has made room for another does not come back by that."""
        for number in range(100):
            self.monitor.publish("job", f"A{number}")
        self.monitor.let_pass(1)
        self.monitor.hub.bounds = replace(self.monitor.hub.bounds, max_channels=1)
        for number in range(100):
            self.monitor.publish("other", f"B{number}")
        self.monitor.let_pass(2)
        self.assertEqual(set(self.monitor.state()), {"other"})
        self.assert_kept()


class SmallTests(SweepTestCase):
    """Records of single messages are put together."""

    def test_put_together(self) -> None:
        """Many small records become few, in which all is as it was."""
        for number in range(1000):
            self.monitor.publish(f"job-{number % 10}", f"A{number}")
            if number % 100 == 0:
                self.monitor.let_pass(1)
        self.monitor.let_pass(1)
        self.assertLess(len(self.records()), 50)
        self.assert_kept()

    def test_large_ones_stay(self) -> None:
        """Records that are large enough are left alone, and the order is that of time."""
        for _ in range(15):
            self.monitor.publish("job", *["x" * 100] * 50)
            for _ in range(10):
                self.monitor.publish("job", "A")
        self.monitor.let_pass(2)
        self.assertEqual(len(self.records()), 30)
        self.assert_kept()


class DayTests(SweepTestCase):
    """A day passes."""

    def test_day(self) -> None:
        """After a day of jobs the file is as large as after its first hour, and small."""
        sizes = []
        for hour in range(24):
            for minute in range(60):
                for number in range(5):
                    job = f"job-{hour}-{minute}-{number}"
                    self.monitor.publish(job, *["x" * 100] * 5)
                    self.monitor.publish(job, *["x" * 100] * 5)
                    self.monitor.publish(job, "FINISHED")
                self.clock.advance(60)
                self.monitor.let_pass(1)
            sizes.append(self.size())
        self.assertLess(max(sizes), 400_000)
        self.assertLess(max(sizes), 1.5 * sizes[1])
        self.assertLess(len(self.monitor.journal._sweeping._dead), 200)
        self.assert_kept()

    def test_bound(self) -> None:
        """However much is published, the file is within some times the bytes of all histories."""
        largest = 0
        for number in range(3000):
            self.monitor.publish(f"job-{number}", *["x" * 100] * 10)
            self.monitor.publish(f"job-{number - 5}", *["x" * 100] * 10, "FINISHED")
            if number % 10 == 0:
                self.monitor.let_pass(1)
                largest = max(largest, (self.monitor.folder / "history.db").stat().st_size)
        self.assertLess(largest, 4 * 100_000)
        self.assert_kept()


class TroubleTests(SweepTestCase):
    """Sweeping fails."""

    def test_tried_again(self) -> None:
        """A sweep that fails does no harm and is tried again."""
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
