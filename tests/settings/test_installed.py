"""The configuration that is installed."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.parsing import load
from tests.support.imports import ROOT

INSTALLED = ROOT.parent / "install/config.yml"


class InstalledTests(SynchronousTestCase):
    """A monitor reads it as it is, and with its examples."""

    def test_as_it_is(self) -> None:
        """It belongs to one node, which checks no tokens."""
        settings = load(str(INSTALLED))
        self.assertIsNone(settings.cluster.engine)
        self.assertFalse(settings.access.key_file)

    def test_examples(self) -> None:
        """Its examples are valid where their comments are removed, and the history as it says."""
        text = re.sub(r"^history:\n.*\n", "", INSTALLED.read_text(), flags=re.M)
        file = Path(self.mktemp())
        file.write_text(re.sub(r"^#(\w+:|    \w)", r"\1", text, flags=re.M))
        settings = load(str(file))
        self.assertIn("valkey.example.org", str(settings.cluster.engine))
        self.assertEqual(settings.cluster.name, "monitor-1")
        self.assertEqual(settings.access.key_file, ("/etc/recodex/monitor/tokens.key",))
