"""The whole monitor as one service: its start, its stop, and its reload."""

import os
import signal
import time
from collections.abc import Iterable
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from recodex_monitor import __version__
from recodex_monitor.assembly import assemble, choose_publish, shown
from recodex_monitor.clients.connections import SPARE_FILES
from recodex_monitor.history.database import HistoryError
from recodex_monitor.settings import environment, parsing, places, reload, secrets
from recodex_monitor.settings.endpoints import Endpoint
from recodex_monitor.settings.schema import ConfigError, Settings
from recodex_monitor.system import descriptors, process, signals, systemd
from recodex_monitor.system.log import Log

_log = Logger()


class CannotStart(Exception):
    """Why a monitor cannot start, as a text for people."""


def make_monitor(file: str | None) -> "Monitor":
    """Make a monitor that is not running yet.

    Args:
        file: the configuration file, or None for the defaults.

    Raises:
        CannotStart: the configuration is wrong, its log cannot be written, systemd has passed
            something wrong, a package is not installed, or too few files can be opened.
    """
    from twisted.internet import reactor

    # Twisted uses the wall clock, which an administrator or NTP may set back.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    process.poll_lightly(reactor)
    try:
        descriptors.require()
    except OSError as error:
        raise CannotStart(str(error.strerror)) from None
    try:
        settings = parsing.load(file)
        return Monitor(settings, file, _open_log(settings, file), reactor)
    except ConfigError as error:
        problems = places.located(error.problems, file)
        raise CannotStart("\n".join(["wrong configuration", *problems])) from None
    except systemd.WrongEnvironment as error:
        raise CannotStart(str(error)) from None
    except ImportError as error:
        why = f"a package is missing: {error}; see the extras of setup.cfg"
        raise CannotStart(why) from None


def _open_log(settings: Settings, file: str | None) -> Log:
    try:
        return Log(settings.logger)
    except OSError as error:
        why = f"cannot write {error.filename}: {error.strerror}"
        raise CannotStart(_located("logger.file", why, file)) from None


class Monitor(Service):
    """A whole monitor: listens for the broker and for clients while it runs.

    Its parts are not children of a ``MultiService``, which would stop them in the reverse order
    and without waiting: see ``stopService`` for the order that loses nothing.

    Attributes:
        log: the observer that writes the monitor's log.
    """

    def __init__(self, settings: Settings, file: str | None, log: Log, reactor: Any) -> None:
        """Assemble the parts; nothing listens yet.

        Args:
            settings: those to begin with.
            file: where a reload reads them from; None if there is no file.
            log: made from these settings.
            reactor: waits for sockets and for the time.

        Raises:
            ConfigError: a file that the settings name, such as a certificate, cannot be used.
            systemd.WrongEnvironment: systemd has not passed what its variables say.
        """
        self.log = log
        self._reactor = reactor
        self._settings = settings
        # twistd may change the working directory.
        self._file = os.path.abspath(file) if file is not None else None
        self._parts = assemble(settings, log, reactor, lambda: bool(self.running), self._exit)

    def setServiceParent(self, parent: Any) -> None:
        """Join an application, which from then on logs to the monitor's log."""
        super().setServiceParent(parent)
        if isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.log)

    def startService(self) -> None:
        """Read the history and listen; if that fails, close again what was opened.

        Raises:
            CannotStart: an address cannot be listened on, or the history cannot be used.
        """
        self.log.start()
        self._allow_open_files()
        try:
            self._restore()
            self._listen()
        except CannotStart as error:
            for listener in reversed(self._parts.listeners):
                listener.stopService()
            self._close_journal()
            if not self.log.on_stderr:
                _log.critical("cannot start: {why}", event="cannot_start", why=str(error))
            self.log.stop()
            raise
        for text in (*secrets.exposed(self._file, self._settings), *environment.unknown()):
            _log.warn("{text}", event="settings_note", text=text)
        if self._parts.relay is not None:
            self._parts.relay.start(self._parts.broker)
        self._parts.ticks.startService()
        self._reactor.callWhenRunning(self._started)
        super().startService()

    def stopService(self) -> "defer.Deferred[None]":
        """Stop without losing a message: fires when all clients have gone and all is saved.

        In this order: accept no more clients, read and publish all that the broker has sent,
        deliver it to the clients and close their connections with 1012, wait for them at most
        ``limits.stop_timeout`` seconds, then stop what the waiting needed: the status page, the
        ticks and the journal.
        """
        super().stopService()
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        _log.info("stopping", event="stopping")
        systemd.notify(STOPPING=1)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # A second signal ends the process at once.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        parts = self._parts
        await parts.port.stopService()
        if parts.relay is not None:
            await parts.relay.give_up(parts.live.limits.stop_timeout)
        parts.broker.stopService()
        await self._close_clients()
        if parts.relay is not None:
            await parts.relay.stop()
        if parts.status is not None:
            await parts.status.stopService()
        await parts.ticks.stopService()
        self._close_journal()
        _log.info("stopped", event="stopped")
        self.log.stop()

    async def _close_clients(self) -> None:
        connections, limits = self._parts.clients.connections, self._parts.live.limits
        try:
            await connections.close_all().addTimeout(limits.stop_timeout, self._reactor)
        except defer.TimeoutError:
            _log.warn(
                "{count} clients had to be cut off",
                event="clients_cut_off",
                count=len(connections.clients),
            )
            connections.abort_all()

    def _restore(self) -> None:
        parts = self._parts
        if parts.journal is None:
            return
        try:
            channels = parts.journal.open()
        except (OSError, HistoryError) as error:
            (why,) = places.located([f"history.file: {_reason(error)}"], self._file)
            raise CannotStart(why) from None
        parts.hub.restore(channels, parts.journal.tombstones)
        _log.info("restored {count} channels", event="restored", count=len(parts.hub.channels))

    def _listen(self) -> None:
        for key, listener in self._parts.by_key.items():
            try:
                listener.startService()
            except OSError as error:
                raise CannotStart(_located(key, _reason(error), self._file)) from None

    def _close_journal(self) -> None:
        if self._parts.journal is not None:
            self._parts.journal.close()

    def _allow_open_files(self) -> None:
        process.allow_open_files(self._parts.live.limits.max_connections, SPARE_FILES)

    def _started(self) -> None:
        """Called when the reactor runs.

        Only now may we announce readiness: from here on signals are handled.
        """

        def hung_up(*_: object) -> None:
            self._reactor.callFromThread(self._reload)

        signal.signal(signal.SIGHUP, hung_up)
        signals.release()
        process.tame_garbage_collection()
        parts = self._parts
        _log.info(
            "version {version} listens on {public} for browsers and {broker} for the broker",
            event="listening",
            version=__version__,
            public=_listed(parts.port.addresses),
            broker=_listed(parts.broker.addresses) or "no address yet",
        )
        if parts.status is not None:
            _log.info("the status page is at {status}", status=_listed(parts.status.addresses))
        systemd.notify(READY=1)

    def _reload(self) -> None:
        systemd.notify_reloading()
        self.log.reopen()
        if self._file is not None:
            settings = reload.read_again(self._file, self._settings, self._prepare)
            if settings is not None:
                self._adopt(settings)
        systemd.notify(READY=1)

    def _prepare(self, settings: Settings) -> None:
        """Do what may fail, all of it or nothing; raises what ``reload.read_again`` expects."""
        certificate = self._parts.certificate
        take = certificate.read(settings.websocket_tls) if certificate is not None else None
        take_keys = self._parts.clients.access.read(settings.access)
        if settings.logger != self._settings.logger:
            self.log.adopt(settings.logger)
        take_keys()
        if take is not None:
            take()

    def _adopt(self, settings: Settings) -> None:
        """Apply settings that were read again."""
        self._settings = settings
        parts = self._parts
        parts.live.adopt(settings)
        parts.broker.publish_by(choose_publish(parts.taker, self.log))
        parts.clients.subscribers.limits_changed()
        parts.port.limits_changed()
        self._allow_open_files()
        if parts.inspection is not None:
            parts.inspection.settings = shown(settings)

    def _exit(self) -> None:
        _log.warn("the broker asked the monitor to exit", event="exit_asked")
        self._reactor.callLater(0, self._reactor.stop)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _located(key: str, why: str, file: str | None) -> str:
    (found,) = places.located([f"{key}: {why}"], file)
    # A default stands in no file, so there is no line to correct.
    return why if found == f"{key}: {why}" else found


def _listed(addresses: Iterable[Endpoint]) -> str:
    return ", ".join(map(str, addresses))
