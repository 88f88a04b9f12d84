"""Tests of the monitor's start and stop, with fake parts and without a network."""

import signal
from pathlib import Path
from typing import Any, cast
from unittest import mock

from twisted.application.service import Application
from twisted.internet import defer
from twisted.logger import ILogObserver
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import monitor
from recodex_monitor.history.database import HistoryError
from recodex_monitor.monitor import CannotStart, Monitor
from recodex_monitor.settings.schema import Settings
from recodex_monitor.system import process, systemd
from tests.support.parts import FakeReactor, MonitorTestCase, fake_log


class StartTests(MonitorTestCase):
    """Starting a monitor."""

    def test_order(self) -> None:
        """Channels are restored before the broker is heard, and it before clients are."""
        made = self.make()
        made.startService()
        self.assertEqual(
            self.done,
            [
                "16384 + 100 files",
                "journal opened",
                "restored: ([], ['a tombstone'])",
                "broker started",
                "port started",
                "status started",
                "ticks started",
            ],
        )
        self.assertTrue(made.running)

    def test_optional_parts(self) -> None:
        """A monitor without history file and status page starts and stops as well."""
        made = self.make(journal=None, status=None, inspection=None, certificate=None)
        made.startService()
        self.reactor.run()
        self.successResultOf(made.stopService())
        self.assertNotIn("status started", self.done)

    def test_ready(self) -> None:
        """Readiness is announced when signals are handled, which is when the reactor runs."""
        made = self.make()
        made.startService()
        self.assertEqual(self.handlers, {})
        self.assertNotIn("systemd told READY", self.done)
        told: list[tuple[dict[str, int], bool]] = []
        self.patch(
            systemd,
            "notify",
            lambda **state: told.append((state, signal.SIGHUP in self.handlers)),
        )
        self.reactor.run()
        self.assertEqual(told, [({"READY": 1}, True)])
        self.assertIn("listens on 127.0.0.1:80 for browsers", "".join(self.logged))

    def test_application(self) -> None:
        """An application that runs it logs to the monitor's log."""
        application = Application("test")
        made = self.make()
        made.setServiceParent(application)
        self.assertIs(cast(Any, application).getComponent(ILogObserver), self.log)


class FailingStartTests(MonitorTestCase):
    """A start that fails closes what it opened, and says why."""

    def failure(self, made: Monitor) -> str:
        """Start it; returns why that fails."""
        with self.assertRaises(CannotStart) as caught:
            made.startService()
        self.assertFalse(made.running)
        self.assertEqual(self.reactor.started, [])
        return str(caught.exception)

    def test_listener(self) -> None:
        """Whichever listener fails, all listeners and the journal are closed."""
        for name in ("broker", "port", "status"):
            self.done.clear()
            made = self.make()
            getattr(self.parts, name).error = OSError(98, "the port is taken")
            self.assertEqual(self.failure(made), "the port is taken")
            self.assertEqual(
                self.done[-4:],
                ["status stopped", "port stopped", "broker stopped", "journal closed"],
            )
            self.assertNotIn("ticks started", self.done)

    def test_history(self) -> None:
        """Without its history nothing listens, and the error names the setting."""
        made = self.make()
        self.parts.journal.error = HistoryError("is in use")
        self.assertEqual(self.failure(made), "history.file: is in use")
        self.assertNotIn("broker started", self.done)

    def test_logged(self) -> None:
        """The log has the reason, unless it is standard error, where it is printed anyway."""
        for on_stderr, expected in ((False, ["cannot start: in use"]), (True, [])):
            self.logged.clear()
            made = self.make(on_stderr=on_stderr)
            self.parts.port.error = OSError(98, "in use")
            self.failure(made)
            found = [text for text in self.logged if text.startswith("cannot start")]
            self.assertEqual(found, expected)


class StopTests(MonitorTestCase):
    """Stopping a monitor."""

    def test_order(self) -> None:
        """What the broker has sent reaches the clients, and what they wait for stops last."""
        made = self.running()
        self.successResultOf(made.stopService())
        self.assertEqual(
            self.done,
            [
                "systemd told STOPPING",
                "port stopped",
                "broker stopped",
                "clients closed",
                "status stopped",
                "ticks stopped",
                "journal closed",
            ],
        )
        self.assertFalse(made.running)

    def test_waits_for_the_port(self) -> None:
        """The broker is read only when no further client can come."""
        made = self.running()
        closing: defer.Deferred[None] = defer.Deferred()
        self.parts.port.stopping = closing
        stopped = made.stopService()
        self.assertNotIn("broker stopped", self.done)
        closing.callback(None)
        self.successResultOf(stopped)

    def test_waits_for_clients(self) -> None:
        """The status page and the journal work until the clients have gone."""
        made = self.running()
        gone = self.parts.clients.connections.gone = defer.Deferred()
        stopped = made.stopService()
        self.reactor.advance(8)
        self.assertEqual(self.done[-1], "clients closed")
        gone.callback(None)
        self.successResultOf(stopped)
        self.assertNotIn("clients aborted", self.done)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_timeout(self) -> None:
        """Clients that have not gone after ``stop_timeout`` are cut off."""
        made = self.running()
        self.parts.clients.connections.gone = defer.Deferred()
        stopped = made.stopService()
        self.reactor.advance(9)
        self.successResultOf(stopped)
        self.assertEqual(
            self.done[-4:],
            ["clients aborted", "status stopped", "ticks stopped", "journal closed"],
        )
        self.assertIn("1 clients had to be cut off", self.logged)

    def test_second_signal(self) -> None:
        """From the first signal on, a second one ends the process."""
        made = self.running()
        made.stopService()
        for number in (signal.SIGINT, signal.SIGTERM):
            self.assertEqual(self.handlers[number], signal.SIG_DFL)

    def test_hangup(self) -> None:
        """A monitor that stops reloads nothing more."""
        self.running().stopService()
        self.assertEqual(self.handlers[signal.SIGHUP], signal.SIG_IGN)


class ExitTests(SynchronousTestCase):
    """The broker's request to exit."""

    def test_exit(self) -> None:
        """It stops the reactor, after what is being done now."""
        given: list[Any] = []
        self.patch(monitor, "assemble", lambda *arguments: given.extend(arguments))
        reactor = FakeReactor()
        made = Monitor(Settings(), None, fake_log(), reactor)
        *_, is_running, on_exit = given
        self.assertFalse(is_running())
        made.running = 1
        self.assertTrue(is_running())
        on_exit()
        self.assertFalse(reactor.stopped)
        reactor.advance(0)
        self.assertTrue(reactor.stopped)


class MakeTests(SynchronousTestCase):
    """Making a monitor from a file."""

    def setUp(self) -> None:
        """Leave the tests' own reactor as it is."""
        from twisted.internet import reactor

        self.patch(reactor, "seconds", reactor.seconds)
        self.patch(process, "poll_lightly", lambda reactor: None)

    def failure(self, text: str) -> str:
        """Why no monitor can be made from this file."""
        self.file = self.mktemp()
        Path(self.file).write_text(text)
        with self.assertRaises(CannotStart) as caught:
            monitor.make_monitor(self.file)
        return str(caught.exception)

    def test_mistakes(self) -> None:
        """All mistakes of the file are named, each in a line."""
        why = self.failure("zeromq_uri: 7\nlimits: {max_connections: x}\n")
        first, *others = why.split("\n")
        self.assertEqual(first, "wrong configuration")
        self.assertEqual([line.startswith(f"{self.file}:") for line in others], [True, True])

    def test_log(self) -> None:
        """A log that cannot be written is named with its setting."""
        path = f"{self.mktemp()}/log"
        why = self.failure(f"logger: {{file: '{path}'}}\n")
        self.assertTrue(why.startswith(f"{self.file}:1: logger.file: cannot write "), why)
        self.assertIn("No such file", why)

    def test_missing_package(self) -> None:
        """A package that the settings need and that is not installed is named."""
        missing = ModuleNotFoundError("No module named 'prometheus_client'")
        self.patch(monitor, "assemble", mock.Mock(side_effect=missing))
        why = self.failure("logger: {file: '-'}\n")
        self.assertIn("a package is missing: No module named 'prometheus_client'", why)

    def test_environment(self) -> None:
        """What systemd has done wrong is not told as the log's fault."""
        wrong = systemd.WrongEnvironment("LISTEN_FDS is 1, but")
        self.patch(monitor, "assemble", mock.Mock(side_effect=wrong))
        self.assertEqual(self.failure("logger: {file: '-'}\n"), "LISTEN_FDS is 1, but")
