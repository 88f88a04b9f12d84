"""The client's package for npm, as far as it can be read."""

import json

from twisted.trial.unittest import SynchronousTestCase

import recodex_monitor
from recodex_monitor.clients.paths import FOLDER
from tests.support.imports import ROOT

CLIENT = ROOT.parent / "client"


class PackageTests(SynchronousTestCase):
    """The folder ``client``."""

    def test_served(self) -> None:
        """The monitor serves the package's own files."""
        scripts = {path.name for path in CLIENT.glob("*.js")}
        self.assertTrue(scripts)
        for name in scripts:
            self.assertEqual((FOLDER / name).resolve(), (CLIENT / name).resolve())

    def test_description(self) -> None:
        """It has the monitor's version and licence, and no dependencies; its exports exist."""
        package = json.loads((CLIENT / "package.json").read_text())
        self.assertEqual(package["version"], recodex_monitor.__version__)
        self.assertNotIn("dependencies", package)
        self.assertEqual((CLIENT / "LICENSE").read_text(), (CLIENT.parent / "LICENSE").read_text())
        for export in package["exports"].values():
            for path in export.values():
                self.assertTrue((CLIENT / path).is_file(), path)
