"""Disks and limits of this machine."""

import os
from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.doctor import machine
from recodex_monitor.doctor.ports import Process
from tests.doctor.support import context, levels, said


class DiskTests(SynchronousTestCase):
    """Files that grow."""

    def test_history(self) -> None:
        """It is there and may grow; or it is missing, or is not asked for."""
        file = Path(self.mktemp())
        made = context(f"history: {{file: {file.absolute()}}}")
        self.assertEqual(levels(list(machine.history(made))), {"history": "FAIL"})
        file.write_bytes(b"x")
        for free, level in ((2**20, "ok"), (5000, "warn"), (100, "FAIL")):
            disk = SimpleNamespace(f_bavail=free, f_frsize=2**15, f_favail=1000, f_files=5000)
            self.patch(os, "statvfs", lambda _, disk=disk: disk)
            self.assertEqual(levels(list(machine.history(made))), {"history": level})
        full = SimpleNamespace(f_bavail=2**20, f_frsize=2**15, f_favail=0, f_files=5000)
        self.patch(os, "statvfs", lambda _: full)
        self.assertIn("inodes", said(list(machine.history(made)), "history"))
        self.assertEqual(levels(list(machine.history(context()))), {"history": "warn"})

    def test_log(self) -> None:
        """A log that is missing is told; standard error is no file."""
        missing = context(f"logger: {{file: {Path(self.mktemp()).absolute()}}}")
        self.assertEqual(levels(list(machine.log(missing))), {"log": "warn"})
        self.assertEqual(list(machine.log(context("logger: {file: '-'}"))), [])


class FileTests(SynchronousTestCase):
    """The limit of open files."""

    def test_levels(self) -> None:
        """It must leave room for all connections."""
        proc = Path(self.mktemp())
        (proc / "7" / "fd").mkdir(parents=True)
        self.patch(machine, "PROC", proc)
        running = Process(7, "python3", "recodex_monitor")
        line = "Max open files            {0}                {0}                files\n"
        for limit, level in (("65536", "ok"), ("16384", "FAIL"), ("unlimited", "ok")):
            (proc / "7" / "limits").write_text(f"Limit  Soft  Hard\n{line.format(limit)}")
            found = list(machine.open_files(context(), running))
            self.assertEqual(levels(found), {"open-files": level})
        self.assertEqual(list(machine.open_files(context(), None)), [])
        (proc / "7" / "limits").unlink()
        found = list(machine.open_files(context(), running))
        self.assertEqual(levels(found), {"open-files": "warn"})
