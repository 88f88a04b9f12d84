"""Monitors whose parts are fakes, which record in one list what is done to them."""

import signal
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

from twisted.internet import defer, task
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import monitor
from recodex_monitor.assembly import Parts
from recodex_monitor.monitor import Monitor
from recodex_monitor.settings import parsing, schema
from recodex_monitor.settings.endpoints import Address
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.system import process, systemd
from recodex_monitor.system.log import Log


class FakeReactor(task.Clock):
    """A clock with the other methods of a reactor that a monitor uses.

    Attributes:
        started: what to call when the reactor runs.
        stopped: whether it was asked to stop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Callable[[], None]] = []
        self.stopped = False

    def callWhenRunning(self, function: Callable[[], None]) -> None:
        """Remember what to call."""
        self.started.append(function)

    def callFromThread(self, function: Callable[[], None]) -> None:
        """Call it in this thread."""
        function()

    def stop(self) -> None:
        """Remember it."""
        self.stopped = True

    def run(self) -> None:
        """Call what is to be called when the reactor runs."""
        for function in self.started:
            function()


class FakeLog:
    """A log that remembers its settings.

    Attributes:
        adopted: the settings adopted last.
        reopened: how often it was opened again.
    """

    def __init__(self, *, has_debug: bool = False, on_stderr: bool = False) -> None:
        self.has_debug, self.on_stderr = has_debug, on_stderr
        self.adopted: schema.Logger | None = None
        self.reopened = 0
        self.dropped: dict[str, int] = {}

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def adopt(self, settings: schema.Logger) -> None:
        """Remember the settings."""
        if settings.file == "missing/log":
            raise FileNotFoundError(2, "No such file or directory", settings.file)
        self.adopted = settings
        self.has_debug = settings.level == "debug"

    def reopen(self) -> None:
        """Count it."""
        self.reopened += 1


def fake_log(**values: bool) -> Log:
    """A FakeLog where a Log is expected."""
    return cast(Log, FakeLog(**values))


class FakeService:
    """A service that records its start and stop."""

    def __init__(self, name: str, done: list[str]) -> None:
        self._name, self._done = name, done
        self.error: Exception | None = None
        self.stopping: Any = None
        self.addresses = [Address("127.0.0.1", 80)]
        self.publish: Any = None

    def startService(self) -> None:
        """Record it, or fail."""
        if self.error is not None:
            raise self.error
        self._done.append(f"{self._name} started")

    def stopService(self) -> Any:
        """Record it; returns ``stopping``, or a Deferred that has fired."""
        self._done.append(f"{self._name} stopped")
        return defer.succeed(None) if self.stopping is None else self.stopping

    def limits_changed(self) -> None:
        """Record it."""
        self._done.append(f"{self._name} has new limits")

    def publish_by(self, publish: Any) -> None:
        """Remember the function."""
        self.publish = publish


class FakeJournal:
    """A journal that records when it is opened and closed."""

    def __init__(self, done: list[str]) -> None:
        self._done = done
        self.error: Exception | None = None
        self.tombstones = ["a tombstone"]

    def open(self) -> list[Any]:
        """Record it, or fail."""
        if self.error is not None:
            raise self.error
        self._done.append("journal opened")
        return []

    def close(self) -> None:
        """Record it."""
        self._done.append("journal closed")


class FakeConnections:
    """Clients that leave when the test says so."""

    def __init__(self, done: list[str]) -> None:
        self._done = done
        self.clients = {"a client"}
        self.gone: defer.Deferred[None] = defer.succeed(None)

    def close_all(self) -> "defer.Deferred[None]":
        """Record it."""
        self._done.append("clients closed")
        return self.gone

    def abort_all(self) -> None:
        """Record it."""
        self._done.append("clients aborted")


class FakeCertificate:
    """A certificate that records when it is read and used."""

    def __init__(self, done: list[str]) -> None:
        self._done = done

    def read(self, settings: schema.Tls) -> Callable[[], None]:
        """Record it; returns what uses the new one."""
        self._done.append("certificate read")
        return lambda: self._done.append("certificate used")


def fake_parts(done: list[str], **parts: Any) -> Parts:
    """All parts as fakes.

    Args:
        done: gets what is done to them.
        parts: are these instead.
    """
    fakes: dict[str, Any] = {
        "live": LiveSettings(),
        "hub": mock.Mock(channels={}, restore=lambda *found: done.append(f"restored: {found}")),
        "journal": FakeJournal(done),
        "broker": FakeService("broker", done),
        "clients": mock.Mock(
            connections=FakeConnections(done), subscribers=FakeService("clients", done)
        ),
        "port": FakeService("port", done),
        "certificate": FakeCertificate(done),
        "inspection": mock.Mock(settings=None),
        "status": FakeService("status", done),
        "relay": None,
        "ticks": FakeService("ticks", done),
    }
    return Parts(**{**fakes, **parts})


class MonitorTestCase(SynchronousTestCase):
    """Has a monitor of fake parts.

    Attributes:
        done: what happened to its parts, to systemd and to signals, in this order.
        logged: the texts of the log.
        handlers: the signals' handlers.
    """

    def setUp(self) -> None:
        """Record what the monitor does to the process instead of doing it."""
        self.done: list[str] = []
        self.handlers: dict[int, Any] = {}
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.patch(
            process,
            "allow_open_files",
            lambda clients, spare: self.done.append(f"{clients} + {spare} files"),
        )
        self.patch(process, "tame_garbage_collection", lambda: None)
        self.patch(
            systemd, "notify", lambda **state: self.done.append(f"systemd told {next(iter(state))}")
        )
        self.logged: list[str] = []
        observer = cast(ILogObserver, self.note)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def note(self, event: Any) -> None:
        """Remember a text of the log."""
        if event["log_namespace"].startswith("recodex_monitor"):
            self.logged.append(event["log_format"].format(**event))

    def make(self, *, on_stderr: bool = False, file: str | None = None, **parts: Any) -> Monitor:
        """Make a monitor; ``parts`` replace its fakes."""
        self.parts: Any = fake_parts(self.done, **parts)
        self.patch(monitor, "assemble", lambda *arguments: self.parts)
        self.reactor = FakeReactor()
        self.log: Any = fake_log(on_stderr=on_stderr)
        return Monitor(parsing.load(file), file, self.log, self.reactor)

    def running(self, **parts: Any) -> Monitor:
        """Make a monitor that runs, and forget how it started."""
        made = self.make(**parts)
        made.startService()
        self.reactor.run()
        self.done.clear()
        return made
