"""Where paths lead."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.system.paths import descriptor_of, is_of_system


class PathTests(SynchronousTestCase):
    """Paths to our own descriptors, by links."""

    def setUp(self) -> None:
        """Make a folder and a pipe."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        reading, self.writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, self.writing)

    def test_own_descriptors(self) -> None:
        """Links to our own descriptors, and links to those, are the descriptors."""
        link = self.folder / "link"
        link.symlink_to("/dev/stderr")
        for path, number in (
            ("/dev/stdout", 1),
            ("/dev/stderr", 2),
            (link, 2),
            (f"/dev/fd/{self.writing}", self.writing),
            (f"/proc/self/fd/{self.writing}", self.writing),
            (f"/proc/thread-self/fd/{self.writing}", self.writing),
            (f"/proc/{os.getpid()}/fd/{self.writing}", self.writing),
            (self.folder / "file", None),
            ("/dev/null", None),
        ):
            self.assertEqual(descriptor_of(str(path)), number, str(path))

    def test_of_system(self) -> None:
        """A link in /dev or /proc counts, wherever it leads; nothing else does."""
        link = self.folder / "link"
        link.symlink_to("/dev/stdout")
        own = self.folder / "own"
        own.symlink_to(self.folder / "file")
        for path, expected in (
            ("/dev/stdout", True),
            (link, True),
            ("/proc/self/cwd/file", False),
            ("/dev/null", False),
            (own, False),
        ):
            self.assertEqual(is_of_system(str(path)), expected, str(path))
