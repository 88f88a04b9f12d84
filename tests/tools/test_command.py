"""Tests of the command that can be pasted."""

import shlex
import site
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import recodex_monitor
from recodex_monitor.tools.command import own_command, pasted


class CommandTests(SynchronousTestCase):
    """The command that runs this process."""

    def script(self, name: str, mode: int = 0o755) -> Path:
        """Be the process of a script in a folder whose name a shell would split."""
        script = Path(self.mktemp()) / "a folder's" / name
        script.parent.mkdir(parents=True)
        script.touch(mode)
        self.patch(sys, "argv", [str(script), "demo"])
        return script.absolute()

    def test_installed(self) -> None:
        """An installed command is named by its full path, quoted."""
        script = self.script("recodex-monitor")
        self.assertEqual(own_command(), [str(script)])
        self.assertEqual(shlex.split(pasted("watch", "a b")), [str(script), "watch", "a b"])

    def test_by_python(self) -> None:
        """With ``python -m`` it is this Python, which finds the package in any folder."""
        root = Path(recodex_monitor.__file__).parents[1]
        for name, mode in (("__main__.py", 0o644), ("recodex-monitor", 0o644)):
            self.script(name, mode)
            expected = ["env", f"PYTHONPATH={root}", sys.executable, "-m", "recodex_monitor"]
            self.assertEqual(own_command(), expected)
        self.patch(site, "getsitepackages", lambda: [str(root)])
        self.assertEqual(own_command(), [sys.executable, "-m", "recodex_monitor"])
