"""The history file: opening and checking it, and the errors for files that cannot be used."""

import fcntl
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.hub import Hub
from recodex_monitor.history import database
from recodex_monitor.history.database import HistoryError, InUse
from recodex_monitor.history.journal import Journal
from recodex_monitor.settings.schema import LiveSettings
from tests.support.messages import message


class FileTestCase(SynchronousTestCase):
    """A folder for files."""

    def setUp(self) -> None:
        """Make it."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "database.db"

    def journal(self) -> Journal:
        """A journal that is not open."""
        return Journal(str(self.file), Clock(), lambda work, then: then(work()), lambda: 0)

    def make(self, messages: int = 100) -> None:
        """Make a history with channels."""
        journal = self.journal()
        hub = Hub(Clock(), LiveSettings(), journal)
        hub.restore(journal.open())
        for number in range(messages):
            hub.publish([message(f"job-{number % 7}", "TASK", str(number), "COMPLETED")])
        journal.close()


class WrongFileTests(FileTestCase):
    """Files that cannot be used: check and start say why, and do not change them."""

    def assert_refused(self, text: str, *, by_check: bool = True) -> None:
        """Neither the check nor a start accepts the file, and it stays as it is."""
        before = self.file.read_bytes() if self.file.is_file() else None
        raised: HistoryError = self.assertRaises(HistoryError, self.journal().open)
        self.assertIn(text, str(raised))
        self.assertIn(str(self.folder), str(raised))
        if by_check:
            raised = self.assertRaises(HistoryError, database.check, str(self.file))
            self.assertIn(text, str(raised))
        if before is not None:
            self.assertEqual(self.file.read_bytes(), before)

    def change(self, statement: str) -> None:
        """Change the database."""
        with closing(sqlite3.connect(self.file)) as db, db:
            db.execute(statement)

    def test_right(self) -> None:
        """A missing file, an empty one and a history are accepted; the check makes no file."""
        database.check(str(self.file))
        self.assertEqual(os.listdir(self.folder), [])
        self.file.touch()
        database.check(str(self.file))
        self.make()
        database.check(str(self.file))
        self.assertEqual(sorted(os.listdir(self.folder)), ["database.db", "database.db.lock"])

    def test_killed_before_its_first_record(self) -> None:
        """A database without a table counts as new."""
        self.change("PRAGMA journal_mode=WAL")
        database.check(str(self.file))
        self.make()

    def test_killed(self) -> None:
        """The check reads the files of a killed monitor, and does not change them."""
        self.make()
        kept = self.folder / "kept"
        with closing(sqlite3.connect(self.file)) as db, db:
            db.execute("DELETE FROM log WHERE id = 1")
            shutil.copytree(self.folder, kept)
        self.file = kept / "database.db"
        database.check(str(self.file))
        self.assertIn("database.db-wal", os.listdir(kept))

    def test_newer(self) -> None:
        """A file of a newer version."""
        self.make()
        self.change(f"PRAGMA user_version = {database.VERSION + 1}")
        self.assert_refused("is of a newer monitor (version 2, this one knows 1)")

    def test_another_database(self) -> None:
        """A database of something else, with or without an ``application_id``."""
        self.change("CREATE TABLE log (a, b)")
        self.assert_refused("is not a history of the monitor")
        self.change("PRAGMA application_id = 7")
        self.assert_refused("is not a history of the monitor")

    def test_no_database(self) -> None:
        """A file that is no database."""
        self.file.write_bytes(b"websocket_uri: [localhost, 80]\n" * 100)
        self.assert_refused("is not a history of the monitor")

    def test_folder(self) -> None:
        """A folder."""
        self.file.mkdir()
        self.assert_refused("cannot write")

    def test_no_folder(self) -> None:
        """A file in a folder that does not exist."""
        self.file = self.folder / "missing" / "database.db"
        self.assert_refused("No such file or directory")

    def test_cut(self) -> None:
        """A database that was truncated."""
        self.make(500)
        self.file.write_bytes(self.file.read_bytes()[:20_000])
        self.assert_refused("is damaged")

    def test_garbage_inside(self) -> None:
        """A database with garbage somewhere in its middle."""
        self.make(1000)
        content = self.file.read_bytes()
        self.assertGreater(len(content), 100_000)
        for at in range(4096, len(content) - 4096, 10_007):
            self.file.write_bytes(content[:at] + b"\xff" * 64 + content[at + 64 :])
            self.assert_refused("is damaged")

    def test_other_rows(self) -> None:
        """A history with invalid rows, or without its table."""
        self.make()
        self.change("UPDATE log SET crc = crc + 1 WHERE id = 7")
        self.assert_refused("is damaged (a record has changed)")
        self.change("UPDATE log SET heads = NULL WHERE id = 7")
        self.assert_refused("is damaged")
        self.change("DROP TABLE log")
        self.assert_refused("is damaged")

    def test_unwritable(self) -> None:
        """A file or a folder that may not be written."""
        self.make()
        for place in (self.file, self.folder):
            self.patch(os, "access", lambda one, mode, denied=str(place): one != denied)
            self.assert_refused(f"cannot write {place}")

    def test_in_use(self) -> None:
        """A file that another monitor uses; to the check this is an error of its own kind."""
        first = self.journal()
        first.open()
        self.assert_refused("is in use by another monitor")
        self.assertRaises(InUse, database.check, str(self.file))
        first.close()
        second = self.journal()
        second.open()
        second.close()

    def test_by_another_name(self) -> None:
        """A symbolic link stands for the file to which it leads."""
        first = self.journal()
        first.open()
        self.addCleanup(first.close)
        link = self.folder / "link.db"
        link.symlink_to(self.file)
        self.file = link
        self.assertRaises(InUse, database.check, str(link))
        self.assertRaises(InUse, self.journal().open)

    def test_a_check_leaves_the_lock(self) -> None:
        """Neither a check nor a failed start leaves the file locked."""
        self.make()
        database.check(str(self.file))
        with closing(sqlite3.connect(self.file, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            self.assert_refused("is in use by another program", by_check=False)
        with open(f"{self.file}.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.make()
