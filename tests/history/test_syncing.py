"""Saved records are synced to the disk, and SQLite's WAL stays short."""

import os
import sqlite3
from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.history import syncing
from tests.history.support import Monitor, folder

Work = Callable[[], object]
Then = Callable[[object], object]


class SyncingTests(SynchronousTestCase):
    """A monitor whose thread works when the test says so."""

    def setUp(self) -> None:
        """Make it, with small limits of the WAL."""
        self.patch(syncing, "CHECKPOINT", 100_000)
        self.patch(syncing, "FORCED", 300_000)
        self.monitor = Monitor(folder(self), Clock()).start()
        self.addCleanup(self.monitor.close)
        self.threads: list[tuple[Work, Then]] = []
        self.monitor.journal._syncing._in_thread = self.in_thread
        self.synced = 0
        sync = os.fdatasync

        def note(descriptor: int) -> None:
            self.synced += 1
            sync(descriptor)

        self.patch(os, "fdatasync", note)

    def in_thread(self, work: Work, then: Then) -> None:
        """Keep what the thread is to do."""
        self.threads.append((work, then))

    def size(self, name: str = "history.db-wal") -> int:
        """The bytes of a file."""
        return (self.monitor.folder / name).stat().st_size

    def publish(self) -> None:
        """Save some 10 KB."""
        self.monitor.publish("job", *["x" * 100] * 90)

    def work(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Let the thread work."""
        work, then = self.threads.pop()
        result = work()
        meanwhile()
        then(result)

    def test_once_a_second(self) -> None:
        """The file is synced every second in which something was saved, by one thread."""
        self.monitor.let_pass(3)
        self.assertEqual(self.threads, [])
        self.publish()
        self.monitor.let_pass(1)
        self.publish()
        self.monitor.let_pass(3)
        self.assertEqual(len(self.threads), 1)
        self.work()
        self.monitor.let_pass(1)
        self.work()
        self.monitor.let_pass(3)
        self.assertEqual((self.threads, self.synced), ([], 2))

    def test_log_stays_short(self) -> None:
        """A WAL that has grown is copied into the database and begins again."""
        sizes = []
        for _ in range(100):
            self.publish()
            self.monitor.let_pass(1)
            self.work()
            sizes.append(self.size())
        self.assertLess(max(sizes), 150_000)
        self.assertLess(sorted(sizes)[5], 30_000)
        self.assertGreater(self.size("history.db"), 800_000)

    def test_without_a_pause(self) -> None:
        """The WAL stays short also if the thread never reaches its end."""
        sizes = []
        for _ in range(100):
            # As for what is saved while the thread works, what comes now has to wait.
            reader = sqlite3.connect(self.monitor.folder / "history.db", isolation_level=None)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM log").fetchall()
            self.publish()
            self.monitor.let_pass(1)
            self.work(reader.close)
            sizes.append(self.size())
        self.assertLess(max(sizes), 400_000)
        self.assertEqual(self.monitor.after_kill().start().state(), self.monitor.state())

    def test_compaction(self) -> None:
        """What a compaction writes is synced though nothing is saved."""
        self.monitor.publish("job", "A")
        self.patch(self.monitor.journal._compaction, "_running", iter([None] * 3))
        for _ in range(3):
            self.monitor.let_pass(1)
            self.work()
        self.assertEqual(self.synced, 3)

    def test_stopped_meanwhile(self) -> None:
        """A thread that begins after the close does nothing."""
        self.publish()
        self.monitor.let_pass(1)
        self.monitor.journal.close()
        with capturedLogs() as events:
            self.work()
        self.assertEqual((self.synced, events), (0, []))
