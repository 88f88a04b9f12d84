"""Who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import recodex_monitor

PACKAGE = Path(recodex_monitor.__file__).parent
PLUGIN = PACKAGE.parent / "twisted/plugins/recodex_monitor_plugin.py"

BELOW = {
    "__init__": "",
    "__main__": "cli",
    "messages": "",
    "deadlines": "",
    "values": "",
    "config": "values",
    "dropped": "",
    "frames": "",
    "handshake": "",
    "channel": "frames",
    "clock": "",
    "turns": "clock",
    "admission": "config values",
    "delivery": "channel encoding",
    "encoding": "frames",
    "counts": "channel",
    "hub": "channel clock counts deadlines dropped messages turns",
    "addresses": "values",
    "log": "config",
    "peers": "",
    "words": "",
    "access": "",
    "view": "channel clock counts frames hub peers reception words",
    "metrics": "view",
    "status": "access config dropped transport values view web",
    "report": "config progress values words",
    "accepted": "",
    "broker": "accepted addresses config dropped messages peers values zap",
    "transport": "addresses config values",
    "lean": "admission frames handshake",
    "reception": "admission clock config deadlines dropped turns",
    "websocket": (
        "channel clock config counts deadlines delivery encoding frames handshake hub lean "
        "reception turns"
    ),
    "eventstream": "clock config deadlines delivery encoding hub turns",
    "web": "admission clock config deadlines eventstream hub reception turns",
    "front": "clock config eventstream hub reception web websocket",
    "systemd": "",
    "process": "",
    "tls": "config",
    "trouble": "clock",
    "history": "channel",
    "disk": "clock history trouble",
    "sweeping": "clock history trouble",
    "journal": "channel clock disk history sweeping trouble turns",
    "reload": "config",
    "zap": "config dropped values",
    "tap": (
        "access broker clock config front history hub journal log messages metrics process "
        "reception reload status systemd tls transport values view zap"
    ),
    "jobs": "",
    "progress": "",
    "simulate": "jobs progress",
    "watch": "progress",
    "demo": "jobs progress simulate watch",
    "cli": "config demo history report simulate tap tls watch zap",
}
"""Each module, and those that it may import."""

HEART = (
    "messages",
    "frames",
    "handshake",
    "channel",
    "delivery",
    "deadlines",
    "encoding",
    "clock",
    "turns",
    "admission",
    "values",
    "config",
    "dropped",
    "counts",
    "hub",
    "trouble",
    "history",
    "disk",
    "sweeping",
    "journal",
)
"""What could run without Twisted, but for its logger."""


def imports(file: Path) -> Iterator[str]:
    """The full names of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} has a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def packages(file: Path) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imports(file)}


def rooms(file: Path) -> set[str]:
    """The modules of ours that a file imports."""
    names = [name.split(".") for name in imports(file)]
    return {name[1] for name in names if name[0] == "recodex_monitor"} - {"__version__"}


class ImportTests(SynchronousTestCase):
    """The walls of the house."""

    def test_all_modules_have_a_place(self) -> None:
        """The table above names every module, and none that does not exist."""
        self.assertEqual(set(BELOW), {file.stem for file in PACKAGE.glob("*.py")})

    def test_nobody_looks_up(self) -> None:
        """A module imports those below it and no other of ours."""
        for module, below in BELOW.items():
            others = rooms(PACKAGE / f"{module}.py") - set(below.split())
            self.assertEqual(others, set(), f"{module} must not import these")

    def test_plugin(self) -> None:
        """The plugin file, which every ``twistd`` reads, imports nothing of ours."""
        self.assertEqual(packages(PLUGIN), {"twisted"})

    def test_txzmq(self) -> None:
        """Only the broker's side imports txzmq, which brings the global reactor with it."""
        importers = [file.stem for file in PACKAGE.glob("*.py") if "txzmq" in packages(file)]
        self.assertEqual(importers, ["broker"])

    def test_heart(self) -> None:
        """What the monitor is at heart knows of Twisted the logger alone."""
        for module in HEART:
            for name in imports(PACKAGE / f"{module}.py"):
                if name.startswith("twisted"):
                    self.assertEqual(name, "twisted.logger.Logger", module)
