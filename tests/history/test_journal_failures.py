"""A disk that is full or fails does not keep the monitor from serving clients."""

import itertools
import os
import sqlite3

from twisted.logger import LogLevel, capturedLogs

from recodex_monitor.channels.message import Message
from recodex_monitor.history import journal
from recodex_monitor.timing.retry import RETRY_DELAY
from tests.history.support import RETENTION, JournalTestCase


class FailureTests(JournalTestCase):
    """The disk is full, or fails."""

    def setUp(self) -> None:
        """Capture the log."""
        super().setUp()
        captured = capturedLogs()
        self.events = captured.__enter__()
        self.addCleanup(captured.__exit__, None, None, None)

    @property
    def logged(self) -> list[str]:
        """The warnings and errors so far."""
        return [one["what"] for one in self.events if one["log_level"] >= LogLevel.warn]

    def fill_disk(self) -> None:
        """Let the file grow no further."""
        db = self.monitor.journal._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count={pages}")

    def free_disk(self) -> None:
        """Let it grow again."""
        self.monitor.journal._db.execute("PRAGMA max_page_count=1000000")

    def test_full(self) -> None:
        """Clients are served; the log says once that saving fails, and once that it works."""
        self.monitor.publish("before", *["x" * 100] * 10)
        self.fill_disk()
        for number in range(100):
            self.monitor.publish(f"job-{number % 9}", *["x" * 100] * 10)
        self.monitor.publish("before", "y", "FINISHED")
        self.monitor.let_pass(int(RETRY_DELAY) + 1)
        self.assertEqual(len(self.monitor.state()), 10)
        self.assertEqual(len(self.logged), 1, self.logged)
        self.assertIn("cannot save the history", self.logged[0])
        self.free_disk()
        self.monitor.let_pass(int(RETRY_DELAY))
        self.assertEqual(len(self.logged), 2, self.logged)
        self.assertEqual(self.killed().state(), self.monitor.state())
        self.monitor.publish("after", "A")
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_much_to_catch_up(self) -> None:
        """What could not be saved is saved later, step by step, while the hub goes on working."""
        self.patch(journal, "CATCH_UP", 8)
        self.monitor.publish("first", "A")
        self.fill_disk()
        for number in range(40):
            batch = [Message(f"job-{number}", "A", b"x" * 40_000)] * 5
            self.monitor.hub.publish(batch)
        self.monitor.publish("over", "A", "FINISHED")
        self.monitor.publish("first", "FINISHED")
        self.monitor.let_pass(RETENTION)
        self.free_disk()
        steps = itertools.count()
        save_some = self.monitor.journal._save_some
        self.patch(self.monitor.journal, "_save_some", lambda: next(steps) >= 0 and save_some())
        while self.monitor.journal._retry.is_failing:
            self.monitor.let_pass(1)
            for number in range(40):
                self.monitor.publish(f"job-{number}", "B")
        self.assertGreater(next(steps), 10)
        self.assertNotIn("first", self.monitor.state())
        self.monitor.let_pass(1)
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_stopped_meanwhile(self) -> None:
        """A stop saves what could not be saved before, if it can be now."""
        self.fill_disk()
        self.monitor.publish("job", *["x" * 1000] * 100)
        self.free_disk()
        self.monitor.journal.close()
        self.assertEqual(self.killed().state(), self.monitor.state())

    def test_sync_fails(self) -> None:
        """If syncing fails, the log says so once, and it is tried again."""
        works = os.fdatasync

        def fail(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        self.patch(os, "fdatasync", fail)
        for _ in range(20):
            self.monitor.publish("job", "A")
            self.monitor.let_pass(1)
        self.assertEqual(len(self.logged), 1, self.logged)
        self.assertIn("to the disk", self.logged[0])
        self.patch(os, "fdatasync", works)
        self.monitor.let_pass(int(RETRY_DELAY))
        self.assertEqual(len(self.logged), 2, self.logged)

    def test_locked_by_another_program(self) -> None:
        """A program that locks the database makes nothing wait."""
        other = sqlite3.connect(self.monitor.folder / "history.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        self.monitor.publish("job", "A")
        other.close()
        self.monitor.let_pass(int(RETRY_DELAY))
        self.assertEqual(self.killed().state(), self.monitor.state())
        self.assertEqual(len(self.logged), 2, self.logged)
