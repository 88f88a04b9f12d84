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
    "channels.message": "",
    "timing.timeouts": "",
    "settings.endpoints": "",
    "settings.readers": "settings.endpoints",
    "settings.schema": "settings.endpoints settings.readers",
    "settings.export": "settings.endpoints settings.schema",
    "settings.parsing": "settings.endpoints settings.readers settings.schema",
    "timing.throttle": "",
    "channels.frames": "",
    "clients.fast_path": "",
    "channels.channel": "channels.frames",
    "timing.clock": "",
    "timing.slices": "timing.clock",
    "clients.admission": "settings.endpoints settings.schema",
    "clients.delivery": "channels.channel clients.encoding",
    "clients.encoding": "channels.frames",
    "channels.counters": "channels.channel",
    "channels.hub": (
        "channels.channel channels.counters channels.message timing.clock timing.slices "
        "timing.throttle timing.timeouts"
    ),
    "network.addresses": "settings.endpoints",
    "system.log": "settings.schema",
    "broker.peers": "",
    "status.diagnosis": "",
    "status.access": "",
    "status.tally": "channels.channel",
    "status.inspection": (
        "broker.peers channels.channel channels.counters channels.frames channels.hub "
        "clients.connections status.diagnosis status.tally system.process timing.clock"
    ),
    "status.metrics": "status.inspection",
    "network.static": "",
    "status.site": "network.static status.access status.inspection timing.throttle",
    "status.service": (
        "network.listener settings.endpoints settings.schema status.inspection status.site"
    ),
    "tools.status": (
        "settings.endpoints settings.parsing settings.schema status.diagnosis tools.progress"
    ),
    "broker.draining": "",
    "broker.sockets": (
        "broker.draining broker.peers broker.zap channels.message network.addresses "
        "settings.endpoints settings.schema timing.throttle"
    ),
    "broker.service": (
        "broker.draining broker.peers broker.sockets broker.zap network.addresses "
        "settings.endpoints settings.schema"
    ),
    "network.eager": "",
    "network.listener": "network.addresses network.eager settings.endpoints settings.schema",
    "clients.close_codes": "",
    "clients.websocket_base": (
        "channels.frames clients.admission clients.close_codes clients.fast_path"
    ),
    "clients.connections": (
        "clients.admission settings.schema timing.clock timing.slices timing.throttle "
        "timing.timeouts"
    ),
    "clients.websocket": (
        "channels.channel channels.counters channels.frames channels.hub clients.close_codes "
        "clients.connections clients.delivery clients.encoding clients.fast_path "
        "clients.websocket_base settings.schema timing.clock timing.slices timing.timeouts"
    ),
    "clients.streams": (
        "channels.hub clients.delivery clients.encoding settings.schema timing.clock "
        "timing.slices timing.timeouts"
    ),
    "clients.site": (
        "channels.hub clients.admission clients.connections clients.streams network.static "
        "settings.schema timing.clock timing.slices timing.timeouts"
    ),
    "clients.detection": (
        "channels.hub clients.connections clients.site clients.streams clients.websocket "
        "settings.schema timing.clock"
    ),
    "system.systemd": "",
    "system.process": "",
    "network.tls": "settings.schema",
    "timing.retry": "timing.clock",
    "history.timestamps": "",
    "history.records": "channels.channel history.timestamps",
    "history.database": "history.records history.timestamps",
    "history.syncing": "history.database timing.clock timing.retry",
    "history.compaction": "history.records timing.clock timing.retry",
    "history.journal": (
        "channels.channel history.compaction history.database history.records history.syncing "
        "history.timestamps timing.clock timing.retry timing.slices"
    ),
    "settings.reload": "settings.export settings.parsing settings.schema",
    "broker.zap": "settings.endpoints settings.schema timing.throttle",
    "assembly": (
        "channels.hub clients.detection network.tls settings.export settings.schema "
        "status.metrics status.site"
    ),
    "monitor": (
        "assembly broker.service broker.sockets broker.zap channels.hub channels.message "
        "clients.connections clients.detection history.database history.journal "
        "network.listener settings.endpoints settings.parsing settings.reload settings.schema "
        "status.access status.inspection status.metrics status.service status.site system.log "
        "system.process system.systemd timing.clock"
    ),
    "tap": "monitor settings.schema",
    "tools.jobs": "",
    "tools.progress": "",
    "tools.simulate": "tools.jobs tools.progress",
    "tools.watch": "tools.progress",
    "tools.demo": "tools.jobs tools.progress tools.simulate tools.watch",
    "cli": (
        "broker.zap history.database monitor network.tls settings.export settings.parsing "
        "settings.schema tools.demo tools.simulate tools.status tools.watch"
    ),
}
"""Each module, and those that it may import."""

HEART = (
    "channels.message",
    "channels.frames",
    "clients.fast_path",
    "channels.channel",
    "clients.delivery",
    "timing.timeouts",
    "clients.encoding",
    "timing.clock",
    "timing.slices",
    "clients.admission",
    "settings.endpoints",
    "settings.readers",
    "settings.schema",
    "settings.parsing",
    "settings.export",
    "timing.throttle",
    "channels.counters",
    "channels.hub",
    "timing.retry",
    "history.timestamps",
    "history.records",
    "history.database",
    "history.syncing",
    "history.compaction",
    "history.journal",
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


def files() -> Iterator[tuple[str, Path]]:
    """Each module of ours by its name in the table, without those that only describe a package."""
    for file in sorted(PACKAGE.rglob("*.py")):
        inner = file.relative_to(PACKAGE).with_suffix("")
        if inner.name != "__init__" or file.parent == PACKAGE:
            yield ".".join(inner.parts), file


def rooms(file: Path) -> set[str]:
    """The modules of ours that a file imports."""
    names = [name.split(".") for name in imports(file)]
    ours = [name[1:] for name in names if name[0] == "recodex_monitor"]
    return {
        ".".join(name[: 1 + (PACKAGE / name[0]).is_dir()])
        for name in ours
        if name != ["__version__"]
    }


class ImportTests(SynchronousTestCase):
    """The walls of the house."""

    def test_all_modules_have_a_place(self) -> None:
        """The table above names every module, and none that does not exist."""
        self.assertEqual(set(BELOW), {name for name, _ in files()})

    def test_nobody_looks_up(self) -> None:
        """A module imports those below it and no other of ours."""
        for module, file in files():
            others = rooms(file) - set(BELOW[module].split())
            self.assertEqual(others, set(), f"{module} must not import these")

    def test_plugin(self) -> None:
        """The plugin file, which every ``twistd`` reads, imports nothing of ours."""
        self.assertEqual(packages(PLUGIN), {"twisted"})

    def test_txzmq(self) -> None:
        """Only the broker's side imports txzmq, which brings the global reactor with it."""
        importers = [name for name, file in files() if "txzmq" in packages(file)]
        self.assertEqual(importers, ["broker.sockets"])

    def test_heart(self) -> None:
        """What the monitor is at heart knows of Twisted the logger alone."""
        for module, file in files():
            for name in imports(file) if module in HEART else ():
                if name.startswith("twisted"):
                    self.assertEqual(name, "twisted.logger.Logger", module)
