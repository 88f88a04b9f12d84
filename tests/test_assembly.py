"""Tests of how the parts of a monitor are made and wired, without a network."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import __version__
from recodex_monitor.assembly import (
    Parts,
    assemble,
    call_all,
    choose_publish,
    shown,
    unready_reasons,
)
from recodex_monitor.channels.hub import Hub
from recodex_monitor.settings.endpoints import Address
from recodex_monitor.settings.schema import ConfigError, History, Settings, Tls, Zeromq
from recodex_monitor.system import systemd
from tests.support.certificates import Authority
from tests.support.imports import ROOT
from tests.support.messages import message
from tests.support.parts import FakeReactor, fake_log

ALONE = """
import sys
from dataclasses import replace
from twisted.internet.task import Clock
from recodex_monitor.assembly import assemble
from recodex_monitor.monitor import Monitor
from recodex_monitor.settings.endpoints import Address
from recodex_monitor.settings.engines import EngineAddress
from recodex_monitor.settings.schema import Cluster, Settings
from tests.support.parts import fake_log

settings = Settings(status_uri=Address("127.0.0.1", 0))
if "cluster" in sys.argv:
    settings = replace(settings, cluster=Cluster((EngineAddress("127.0.0.1"),)))
assemble(settings, fake_log(), Clock(), lambda: True, lambda: None)
print(*(name for name in ("recodex_monitor.relay", "hiredis") if name in sys.modules))
"""
"""Assembles the parts of a monitor, and prints what it has then imported of a cluster's."""


class ImportTests(SynchronousTestCase):
    """What is imported."""

    def test_cluster(self) -> None:
        """Without a cluster nothing of one is imported; with one, its package and hiredis."""
        for more, expected in (([], ""), (["cluster"], "recodex_monitor.relay hiredis")):
            command = [sys.executable, "-c", ALONE, *more]
            done = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True)
            self.assertEqual((done.stdout.strip(), done.stderr), (expected, ""))


class AssemblyTests(SynchronousTestCase):
    """The parts that a monitor of some settings has."""

    def setUp(self) -> None:
        """Make a reactor."""
        self.reactor = FakeReactor()

    def assemble(self, **settings: Any) -> Parts:
        """Assemble the parts by the defaults, but for these sections."""
        return assemble(
            replace(Settings(), **settings), fake_log(), self.reactor, lambda: True, lambda: None
        )

    def test_defaults(self) -> None:
        """By default there are no history, no TLS and no status page."""
        parts = self.assemble()
        optional = (parts.journal, parts.certificate, parts.inspection, parts.status)
        self.assertEqual(optional, (None, None, None, None))
        self.assertEqual(parts.listeners, (parts.broker, parts.port))

    def test_nothing_runs(self) -> None:
        """No part listens or waits for a time before it is started."""
        parts = self.assemble(status_uri=Address("127.0.0.1", 0))
        self.assertEqual([bool(part.running) for part in (*parts.listeners, parts.ticks)], 4 * [0])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_history(self) -> None:
        """With a history file there is a journal, which saves what the hub publishes."""
        file = Path(self.mktemp())
        parts = self.assemble(history=History(str(file)))
        assert parts.journal is not None
        self.addCleanup(parts.journal.close)
        parts.hub.restore(parts.journal.open())
        before = file.stat().st_size + Path(f"{file}-wal").stat().st_size
        parts.hub.publish([message("job", "STARTED")])
        self.assertGreater(file.stat().st_size + Path(f"{file}-wal").stat().st_size, before)

    def test_tls(self) -> None:
        """With a certificate, the public port's connections are encrypted by it."""
        folder = Path(self.mktemp())
        folder.mkdir()
        parts = self.assemble(websocket_tls=Tls(**Authority(folder).settings))
        self.assertIsNotNone(parts.certificate)

    def test_unusable_files(self) -> None:
        """Files that the settings name are read at once, so a wrong one is an error now."""
        for section in (
            {"websocket_tls": Tls(certificate="missing", key="missing")},
            {"zeromq": Zeromq(curve_key="missing")},
        ):
            self.assertRaises(ConfigError, self.assemble, **section)

    def test_status(self) -> None:
        """The status page listens last, and shows the version and the settings."""
        parts = self.assemble(status_uri=Address("127.0.0.1", 0))
        assert parts.inspection is not None
        self.assertEqual(parts.listeners, (parts.broker, parts.port, parts.status))
        settings = replace(Settings(), status_uri=Address("127.0.0.1", 0))
        self.assertEqual(parts.inspection.settings, shown(settings))
        self.assertEqual(parts.inspection.settings["version"], __version__)

    def test_live_settings(self) -> None:
        """The hub and the clients' side use the settings that a reload changes."""
        parts = self.assemble()
        settings = Settings()
        limits = replace(settings.limits, max_channels=1, max_connections=7)
        parts.live.adopt(replace(settings, limits=limits))
        parts.hub.publish([message("a", "STARTED"), message("b", "STARTED")])
        self.assertEqual(list(parts.hub.channels), ["b"])
        self.assertEqual(parts.clients.settings.limits.max_connections, 7)

    def test_ticks(self) -> None:
        """Each second ends what is due, and tells systemd the monitor's status."""
        told: list[str] = []
        self.patch(systemd, "notify", lambda **state: told.append(state["STATUS"]))
        parts = self.assemble()
        parts.ticks.startService()
        parts.hub.publish([message("job", "STARTED"), message("job", "FINISHED")])
        self.assertIn("job", parts.hub.channels)
        for _ in range(305):
            self.reactor.advance(1)
        self.assertNotIn("job", parts.hub.channels)
        self.assertEqual(told[1], "followers: 0, channels: 1")
        self.assertEqual(told[-1], "followers: 0, channels: 0")


class PublishTests(SynchronousTestCase):
    """The function that takes the broker's messages."""

    def test_without_debug(self) -> None:
        """Without debug logging it is the hub's own, so a message costs no call more."""
        hub = mock.Mock(spec=Hub)
        self.assertEqual(choose_publish(hub, fake_log()), hub.publish)

    def test_with_debug(self) -> None:
        """With debug logging each message is logged and published."""
        logged: list[tuple[LogLevel, str]] = []

        def note(event: Any) -> None:
            logged.append((event["log_level"], event["log_format"].format(**event)))

        hub = mock.Mock(spec=Hub)
        publish = choose_publish(hub, fake_log(has_debug=True))
        messages = [message("job", "STARTED")]
        globalLogPublisher.addObserver(note)  # type: ignore[arg-type]
        try:
            publish(messages, more=True)
        finally:
            globalLogPublisher.removeObserver(note)  # type: ignore[arg-type]
        hub.publish.assert_called_once_with(messages, more=True)
        self.assertEqual(logged, [(LogLevel.debug, '\'job\': {"command": "STARTED"}')])


class ReadinessTests(SynchronousTestCase):
    """Why a monitor is not ready."""

    def test_reasons(self) -> None:
        """Each part that does not work is a reason; without a history file it is none."""
        on: Any = mock.Mock(running=True, works=True)
        off: Any = mock.Mock(running=False, works=False)
        self.assertEqual(unready_reasons(True, on, on, on), [])
        self.assertEqual(unready_reasons(True, on, on, None), [])
        for arguments, reason in (
            ((False, on, on, on), "the monitor stops"),
            ((True, off, on, on), "it does not listen for browsers"),
            ((True, on, off, on), "it does not listen for the broker"),
            ((True, on, on, off), "the history cannot be saved"),
        ):
            self.assertEqual(unready_reasons(*arguments), [reason])


class TickTests(SynchronousTestCase):
    """What happens every second."""

    def test_failure(self) -> None:
        """A call that fails is logged, and the others are made all the same."""
        calls: list[str] = []

        def fail() -> None:
            raise RuntimeError("a bug")

        call_all(lambda: calls.append("first"), fail, lambda: calls.append("last"))
        self.assertEqual(calls, ["first", "last"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
