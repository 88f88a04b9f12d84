"""Copies of a history file, made while a journal writes to it."""

import os
import sqlite3
from pathlib import Path
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.history import backup, database
from recodex_monitor.history.database import HistoryError
from tests.history.support import Monitor, folder


class BackupTestCase(SynchronousTestCase):
    """A monitor with a history, and a folder for copies."""

    def setUp(self) -> None:
        """Make it, with a job."""
        self.clock = Clock()
        self.monitor = Monitor(folder(self), self.clock).start()
        self.addCleanup(self.monitor.close)
        self.monitor.publish("job", "STARTED", "FAILED")
        self.source = self.monitor.folder / "history.db"
        self.copies = self.monitor.folder.parent / "copies"
        self.copies.mkdir()
        self.target = self.copies / "history.db"

    def copy(self) -> backup.Copied:
        """Copy the history."""
        return backup.copy(str(self.source), str(self.target))

    def restored(self) -> Monitor:
        """A monitor that has started with the copy."""
        other = Monitor(self.copies, self.clock).start()
        self.addCleanup(other.close)
        return other

    def refuses(self, text: str) -> None:
        """There is no copy, and the error says why; nothing is left in the folder."""
        before = {file: file.read_bytes() for file in self.copies.iterdir() if file.is_file()}
        raised: HistoryError = self.assertRaises(HistoryError, self.copy)
        self.assertIn(text, str(raised))
        self.assertEqual(
            {file: file.read_bytes() for file in self.copies.iterdir() if file.is_file()}, before
        )


class CopyTests(BackupTestCase):
    """What a copy holds."""

    def test_running(self) -> None:
        """The copy of a monitor that runs has all that was saved, and can be started with."""
        found = self.copy()
        self.assertEqual(found, (1, self.target.stat().st_size))
        self.assertEqual(os.listdir(self.copies), ["history.db"])
        self.assertEqual(self.target.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.restored().state(), self.monitor.state())

    def test_while_it_saves(self) -> None:
        """A copy that is made while the monitor saves is as the history was at one moment."""
        for _ in range(200):
            self.monitor.publish("job", "A" * 1000)
        states = [self.monitor.state()]

        def save() -> None:
            self.monitor.publish("other", "B" * 1000)
            states.append(self.monitor.state())

        def connect(name: str) -> sqlite3.Connection:
            db = database.connect(name)
            db.set_progress_handler(save, 200)
            return db

        self.patch(backup, "connect", connect)
        self.copy()
        self.assertGreater(len(states), 5)
        self.assertIn(self.restored().state(), states[:-1])
        self.assertTrue(self.monitor.journal.works)

    def test_stopped(self) -> None:
        """The copy of a monitor that is stopped has all; nothing is made beside the original."""
        state = self.monitor.state()
        self.monitor.close()
        before = sorted(os.listdir(self.monitor.folder))
        self.copy()
        self.assertEqual(sorted(os.listdir(self.monitor.folder)), before)
        self.assertEqual(self.restored().state(), state)

    def test_killed(self) -> None:
        """After a kill the copy has all, and the file stays as it is, with its WAL."""
        killed = self.monitor.after_kill()
        self.source = killed.folder / "history.db"
        wal = killed.folder / "history.db-wal"
        before = wal.read_bytes(), self.source.read_bytes()
        self.copy()
        self.assertEqual((wal.read_bytes(), self.source.read_bytes()), before)
        self.assertEqual(self.restored().state(), self.monitor.state())

    def test_started_meanwhile(self) -> None:
        """What a monitor saves that starts during the copy of its file does not spoil it."""
        self.monitor.close()
        real = backup._vacuum
        started: list[Monitor] = []

        def vacuum(source: str, made: str, how: str) -> None:
            if not started:
                started.append(Monitor(self.monitor.folder, self.clock).start())
                self.addCleanup(started[0].close)
                started[0].publish("job", "FINISHED")
            real(source, made, how)

        self.patch(backup, "_vacuum", vacuum)
        self.copy()
        self.assertEqual(self.restored().state(), started[0].state())

    def test_again(self) -> None:
        """A later copy replaces an earlier one."""
        self.copy()
        self.monitor.publish("other", "STARTED")
        self.assertEqual(self.copy().channels, 2)


class RefusalTests(BackupTestCase):
    """Where there is no copy."""

    def test_no_history(self) -> None:
        """A file that does not exist, or is none of a monitor, is no history."""
        self.source = self.monitor.folder / "missing.db"
        self.refuses("does not exist")
        self.source.write_bytes(b"x" * 5000)
        self.refuses("is not a history of the monitor")
        self.source.write_bytes(b"")
        self.refuses("is empty")

    def test_other_file(self) -> None:
        """Neither a file that is no copy, nor a folder, nor a history in use is replaced."""
        self.target.write_bytes(b"precious")
        self.refuses(f"{self.target} is not a copy of a history")
        self.target = self.copies / "folder"
        self.target.mkdir()
        self.refuses("Is a directory")
        self.target = self.source
        self.refuses("is the history of a monitor")

    def test_no_folder(self) -> None:
        """The folder of the copy must exist."""
        self.target = Path("/missing/history.db")
        self.refuses("cannot write /missing/history.db: No such file")

    def test_damaged(self) -> None:
        """A history that has changed is not copied over an earlier copy."""
        self.copy()
        self.monitor.journal._db.execute("UPDATE log SET crc = crc + 1")
        self.refuses("a record has changed")

    def test_full(self) -> None:
        """A full disk is told as such."""
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        db = mock.MagicMock(execute=mock.Mock(side_effect=[None, error]))
        self.patch(backup, "connect", lambda _: db)
        self.patch(backup, "is_new", lambda *_: False)
        self.refuses(f"to {self.copies}: database or disk is full")
