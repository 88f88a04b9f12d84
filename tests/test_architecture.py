"""Which package may import which; docs/architecture.md gives the reasons."""

import re
import sys
from importlib.metadata import packages_distributions

from twisted.trial.unittest import SynchronousTestCase

from tests.support.imports import ROOT, files, imported, imported_packages, modules

PLUGIN = ROOT.parent / "twisted/plugins/recodex_monitor_plugin.py"

_COMMON = "channels network settings timing"
_PARTS = f"{_COMMON} broker clients history relay status system"
MAY_KNOW = {
    "timing": "",
    "settings": "",
    "channels": "timing settings",
    "network": "settings timing",
    "system": "settings",
    "history": "channels timing",
    "broker": _COMMON,
    "clients": _COMMON,
    "relay": _COMMON,
    "status": f"{_COMMON} history system broker clients",
    "follow": "",
    "tools": "settings status follow",
    "assembly": _PARTS,
    "monitor": "assembly clients history settings system",
    "tap": "monitor settings system",
    "checks": "settings network system history broker relay",
    "doctor": "channels network settings status system follow tools checks",
    "cli": "monitor tools doctor settings checks history system",
    "__main__": "cli system",
    "__init__": "",
}
"""Each package, and those that it may import."""

ONLY = {
    ("status", "broker"): {"peers"},
    ("status", "clients"): {"connections"},
    ("tools", "status"): {"diagnosis"},
    ("doctor", "status"): {"diagnosis"},
    ("doctor", "channels"): {"trials"},
    ("doctor", "network"): {"tokens"},
    ("doctor", "system"): {"descriptors"},
    ("checks", "broker"): {"zap"},
    ("cli", "history"): {"backup", "database"},
    ("checks", "relay"): {"making", "probing"},
    ("cli", "system"): {"signals", "outputs"},
    ("tap", "system"): {"signals", "outputs"},
    ("__main__", "system"): {"signals"},
}
"""Of these packages, the modules that may be imported."""

CORE = ("timing", "settings", "channels", "history")
"""What could run without Twisted, but for its logger."""


def plain(name: str) -> str:
    """The name of a distribution as indexes compare it."""
    return re.sub("[-_.]+", "-", name).lower()


class ImportTests(SynchronousTestCase):
    """Imports go downwards only."""

    def test_packages(self) -> None:
        """A package imports those that it may know and no other of ours."""
        for package, file in files():
            for other, module in modules(file):
                allowed = {package, *MAY_KNOW[package].split()}
                self.assertIn(other, allowed, f"{file} imports {other}.{module}")
                only = ONLY.get((package, other), {module})
                self.assertIn(module, only, f"{file} imports {other}.{module}")

    def test_every_package_has_a_rule(self) -> None:
        """The table names every package, and none that does not exist."""
        self.assertEqual(set(MAY_KNOW), {package for package, _ in files()})

    def test_tours(self) -> None:
        """A package's own file is a docstring and nothing else, so importing it costs nothing."""
        for _, file in files():
            if file.name == "__init__.py" and file.parent != ROOT:
                self.assertEqual(list(imported(file)), [], str(file))

    def test_plugin(self) -> None:
        """The plugin file, which every ``twistd`` reads, imports nothing of ours but signals."""
        self.assertEqual(imported_packages(PLUGIN), {"sys", "twisted", "recodex_monitor"})
        ours = [name for name in imported(PLUGIN) if name.startswith("recodex_monitor")]
        self.assertEqual(ours, ["recodex_monitor.system.signals"])

    def test_txzmq(self) -> None:
        """Only the broker's sockets import txzmq, which brings the global reactor with it."""
        importers = [file for _, file in files() if "txzmq" in imported_packages(file)]
        self.assertEqual(importers, [ROOT / "broker/sockets.py"])

    def test_dependencies(self) -> None:
        """Everything that the monitor imports is named in setup.cfg with its lowest version."""
        config = (ROOT.parent / "setup.cfg").read_text()
        named = {plain(one) for one in re.findall(r"(?m)^    ([\w.-]+)(?:\[\w+\])?>=", config)}
        homes = packages_distributions()
        for _, file in files():
            for name in imported_packages(file) - sys.stdlib_module_names - {"recodex_monitor"}:
                self.assertTrue(named & set(map(plain, homes[name])), f"{file} imports {name}")

    def test_command(self) -> None:
        """The command imports at once only what every use of it needs, so its tools start fast."""
        needed = {"settings", "tools", "doctor", "system", "__version__"}
        for name in imported(ROOT / "cli.py", at_once=True):
            package, *rest = name.split(".")
            self.assertNotEqual(package, "twisted")
            if package == "recodex_monitor":
                self.assertIn(rest[0], needed)

    def test_core(self) -> None:
        """What the monitor is at heart knows of Twisted the logger alone."""
        for package, file in files():
            if package in CORE:
                for name in imported(file):
                    if name.startswith("twisted"):
                        self.assertEqual(name, "twisted.logger.Logger", str(file))
