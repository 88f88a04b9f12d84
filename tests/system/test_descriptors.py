"""Whether enough files can be opened."""

import errno
import os
import resource

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.system import descriptors


class RequireTests(SynchronousTestCase):
    """What a start needs."""

    def test_enough(self) -> None:
        """Where they can be opened, none stays open."""
        before = os.listdir("/proc/self/fd")
        descriptors.require()
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def test_too_few(self) -> None:
        """Where they cannot, the error names the limit and how to raise it; none stays open."""
        before = os.listdir("/proc/self/fd")
        opened: list[int] = []

        def opens(*_: object) -> int:
            if len(opened) == 3:
                raise OSError(errno.EMFILE, "Too many open files")
            opened.append(os.dup(0))
            return opened[-1]

        self.patch(descriptors, "raise_limit", lambda: 20)
        self.patch(os, "open", opens)
        error = self.assertRaises(OSError, descriptors.require)
        self.assertIn("only 3 files", str(error))
        self.assertIn("the limit is 20", str(error))
        self.assertIn("LimitNOFILE", str(error))
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def test_limit(self) -> None:
        """The limit is the highest that the process may have."""
        limits = (100, 1000)
        self.patch(resource, "getrlimit", lambda _: limits)
        raised: list[object] = []
        self.patch(resource, "setrlimit", lambda _, new: raised.append(new))
        self.assertEqual(descriptors.raise_limit(), 1000)
        self.assertEqual(raised, [(1000, 1000)])
