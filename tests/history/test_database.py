"""The file of histories: what is in it, its age, and what is said about files that are none."""

import fcntl
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.hub import Bounds, Hub
from recodex_monitor.history import database
from recodex_monitor.history.database import HistoryError, InUse
from recodex_monitor.history.journal import Journal
from recodex_monitor.history.records import pack, unpack
from recodex_monitor.history.timestamps import age, moment
from tests.support.clients import message

NUMBERS = st.integers(-(2**63), 2**63 - 1)


class RecordTests(SynchronousTestCase):
    """Records: the entries of a turn in one row."""

    @given(st.lists(st.tuples(NUMBERS, NUMBERS, st.binary())))
    def test_packed_and_unpacked(self, entries: list[tuple[int, int, bytes]]) -> None:
        """What is packed is unpacked to the same entries."""
        heads = [value for number, kind, data in entries for value in (number, kind, len(data))]
        record = pack(heads, [data for *_, data in entries])
        self.assertEqual(list(unpack(*record)), entries)

    @given(st.binary(min_size=1), st.data())
    def test_changed(self, data: bytes, draw: st.DataObject) -> None:
        """A record of which a byte has changed is told from what was written."""
        heads, data, crc = pack([1, 2, len(data)], [data])
        at = draw.draw(st.integers(0, len(data) - 1))
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        self.assertRaises(ValueError, list, unpack(heads, changed, crc))


class AgeTests(SynchronousTestCase):
    """How long ago something was, told by another process."""

    def test_now(self) -> None:
        """What is now has no age, whatever is known of the machine's run."""
        self.assertLess(age(moment(), moment()), 5)

    def test_wall_clock_is_set(self) -> None:
        """In one run of the machine the wall's clock may jump either way."""
        for wall in (0, 1000, 10**9):
            self.assertEqual(age("1000 50 a", f"{wall} 57.5 a"), 7.5)

    def test_another_run(self) -> None:
        """After the machine was started anew its wall clock tells, but nothing is from later."""
        self.assertEqual(age("1000 50 a", "1007.5 3 b"), 7.5)
        self.assertEqual(age("1000 50 a", "900 3 b"), 0)

    def test_runs_without_a_name(self) -> None:
        """Where runs of the machine have no names the wall clock tells."""
        self.assertEqual(age("1000 50 ", "1007 3 "), 7)


class FileTestCase(SynchronousTestCase):
    """A folder for files."""

    def setUp(self) -> None:
        """Make it."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "history.db"

    def journal(self) -> Journal:
        """A journal that is not open."""
        return Journal(str(self.file), Clock(), lambda work, then: then(work()))

    def make(self, messages: int = 100) -> None:
        """Make a history with channels."""
        journal = self.journal()
        hub = Hub(Clock(), Bounds(), journal)
        hub.restore(journal.open())
        for number in range(messages):
            hub.publish([message(f"job-{number % 7}", "TASK", str(number), "COMPLETED")])
        journal.close()


class WrongFileTests(FileTestCase):
    """Files that cannot be used: the check and the start say why, and leave them as they are."""

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
        """A file that is missing, empty or a history is right, and the check makes none."""
        database.check(str(self.file))
        self.assertEqual(os.listdir(self.folder), [])
        self.file.touch()
        database.check(str(self.file))
        self.make()
        database.check(str(self.file))
        self.assertEqual(sorted(os.listdir(self.folder)), ["history.db", "history.db.lock"])

    def test_killed_before_its_first_record(self) -> None:
        """A database in which nothing is yet is taken for a new one."""
        self.change("PRAGMA journal_mode=WAL")
        database.check(str(self.file))
        self.make()

    def test_killed(self) -> None:
        """The check reads what a monitor that was killed has left, and leaves it."""
        self.make()
        kept = self.folder / "kept"
        with closing(sqlite3.connect(self.file)) as db, db:
            db.execute("DELETE FROM log WHERE id = 1")
            shutil.copytree(self.folder, kept)
        self.file = kept / "history.db"
        database.check(str(self.file))
        self.assertIn("history.db-wal", os.listdir(kept))

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
        self.file = self.folder / "missing" / "history.db"
        self.assert_refused("No such file or directory")

    def test_cut(self) -> None:
        """A database of which the end is missing."""
        self.make(5000)
        self.file.write_bytes(self.file.read_bytes()[:20_000])
        self.assert_refused("is damaged")

    def test_garbage_inside(self) -> None:
        """A database with garbage somewhere in its middle."""
        self.make(5000)
        content = self.file.read_bytes()
        for at in range(4096, len(content) - 4096, 30_011):
            self.file.write_bytes(content[:at] + b"\xff" * 64 + content[at + 64 :])
            self.assert_refused("is damaged")

    def test_other_rows(self) -> None:
        """A history with rows that mean nothing, or without its table."""
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
        """A file with which another monitor runs; the check tells that from what is wrong."""
        first = self.journal()
        first.open()
        self.assert_refused("is in use by another monitor")
        self.assertRaises(InUse, database.check, str(self.file))
        first.close()
        second = self.journal()
        second.open()
        second.close()

    def test_by_another_name(self) -> None:
        """A symbolic link is the file to which it leads."""
        first = self.journal()
        first.open()
        self.addCleanup(first.close)
        link = self.folder / "link.db"
        link.symlink_to(self.file)
        self.file = link
        self.assertRaises(InUse, database.check, str(link))
        self.assertRaises(InUse, self.journal().open)

    def test_a_check_leaves_the_lock(self) -> None:
        """A monitor can start after a check, and after an open that has failed."""
        self.make()
        database.check(str(self.file))
        with closing(sqlite3.connect(self.file, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            self.assert_refused("is in use by another program", by_check=False)
        with open(f"{self.file}.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.make()
