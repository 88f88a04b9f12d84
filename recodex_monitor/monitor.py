"""The whole monitor as one service: its start, its stop, and its reload."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from twisted.application.internet import TimerService
from twisted.application.service import Service
from twisted.internet import defer, threads
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from recodex_monitor import __version__
from recodex_monitor.assembly import bounds, call_all, scraped, secured, shown
from recodex_monitor.broker.service import BrokerService
from recodex_monitor.broker.sockets import Publish
from recodex_monitor.broker.zap import make_guard
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.message import Message
from recodex_monitor.clients.connections import SPARE_FILES
from recodex_monitor.clients.detection import Front
from recodex_monitor.history.database import HistoryError
from recodex_monitor.history.journal import Journal
from recodex_monitor.network.listener import PublicPort
from recodex_monitor.settings import parsing, reload, schema
from recodex_monitor.settings.endpoints import Endpoint
from recodex_monitor.status.access import Access
from recodex_monitor.system import process, systemd
from recodex_monitor.system.log import Log
from recodex_monitor.timing.clock import TICK, LoopClock

if TYPE_CHECKING:
    from recodex_monitor.status import inspection, service


_log = Logger()


class CannotStart(Exception):
    """Why a monitor cannot start, as a text for people."""


def make_monitor(file: str | None) -> "Monitor":
    """Make a monitor that is not running yet.

    Args:
        file: the configuration file, or None for the defaults.

    Raises:
        CannotStart: the configuration is wrong, or its log cannot be written.
    """
    from twisted.internet import reactor

    # Twisted's clock is that of the wall, which somebody may set by an hour.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    process.poll_lightly(reactor)
    try:
        settings = parsing.load(file)
        return Monitor(settings, file, Log(settings.logger), reactor)
    except schema.ConfigError as error:
        raise CannotStart("\n".join(["wrong configuration", *error.problems])) from None
    except OSError as error:
        where = f"{file}: logger.file: " if file else ""
        raise CannotStart(f"{where}cannot write {error.filename}: {error.strerror}") from None


class Monitor(Service):
    """A whole monitor: listens on both sides while it runs."""

    def __init__(self, settings: schema.Settings, file: str | None, log: Log, reactor: Any) -> None:
        """Put the parts together; nothing listens yet.

        Args:
            settings: those to begin with.
            file: where they are read from again; None where there is nothing to read.
            log: made by these settings.
            reactor: runs it all.
        """
        self.log = log
        self._reactor = reactor
        self._settings = settings
        # twistd may go to another folder.
        self._file = os.path.abspath(file) if file is not None else None
        # A copy, since the parts share these, and they change.
        self._limits = limits = replace(settings.limits)
        self._clock = LoopClock(reactor)
        self._journal = self._make_journal(settings.history)
        self._hub = Hub(self._clock, bounds(settings), self._journal)
        on_exit = self._exit if settings.zeromq.allow_exit else None
        self._front = front = Front(self._hub, limits, self._clock)
        self._reception = front.reception
        self._broker = BrokerService(
            settings.zeromq_uri,
            limits,
            self._choose_publish(),
            on_exit,
            self._clock.seconds,
            make_guard(settings.zeromq, self._clock.seconds),
        )
        self._certificate, factory = secured(settings.websocket_tls, front, reactor)
        self._port = PublicPort(
            settings.websocket_uri, limits, factory, reactor, systemd.inherited_sockets()
        )
        self._view: inspection.View | None = None
        self._status_page = self._make_status_page(settings)
        self._ticks = self._make_ticks()

    def _make_ticks(self) -> TimerService:
        """What is done every second."""
        heartbeat = systemd.Heartbeat(self._status, self._reactor.seconds)
        sweeps = [self._clock.tick, self._hub.expire, *self._front.sweeps, heartbeat.beat]
        if self._journal is not None:
            sweeps.append(self._journal.tick)
        if self._certificate is not None:
            sweeps.append(self._certificate.look)
        ticks = TimerService(TICK, call_all, *sweeps)
        ticks.clock = self._reactor
        return ticks

    def _make_status_page(self, settings: schema.Settings) -> "service.StatusService | None":
        if settings.status_uri is None:
            return None
        from recodex_monitor.status import inspection, metrics, service, site

        looking = self._view = inspection.View(
            self._hub,
            self._reception,
            self._broker,
            self._clock,
            settings=shown(settings),
            show_addresses=settings.show_addresses,
        )
        numbers = metrics.Metrics(looking, __version__)
        hosts = service.names_of(settings.status_uri, settings.status_hosts)
        access = Access(hosts, settings.status_token)
        page = site.Status(looking, access, self._unready, scraped(numbers))

        def lagged(lag: float) -> None:
            numbers.lag.observe(max(0, lag))
            self._hub.on_delivered = numbers.delay.observe

        return service.StatusService(settings.status_uri, page, looking, self._reactor, lagged)

    def _unready(self) -> list[str]:
        """Why students cannot be served."""
        why = {
            "the monitor stops": not self.running,
            "it does not listen for browsers": not self._port.running,
            "it does not listen for the broker": not self._broker.running,
            "the history cannot be saved": self._journal is not None and not self._journal.works,
        }
        return [text for text, holds in why.items() if holds]

    def _make_journal(self, history: schema.History) -> Journal | None:
        if history.file is None:
            return None
        return Journal(history.file, self._clock, self._in_thread, sync=history.sync)

    def _in_thread(self, work: Callable[[], object], then: Callable[[object], object]) -> None:
        pool = self._reactor.getThreadPool()
        threads.deferToThreadPool(self._reactor, pool, work).addCallback(then)

    def setServiceParent(self, parent: Any) -> None:
        """Join an application, whose log is from then on the monitor's own."""
        super().setServiceParent(parent)
        if isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.log)

    def startService(self) -> None:
        """Listen on both sides.

        Raises:
            CannotStart: an address cannot be listened on, or the history cannot be used.
        """
        process.allow_open_files(2 * self._limits.max_connections + SPARE_FILES)
        try:
            self._restore()
            self._broker.startService()
            self._port.startService()
            if self._status_page is not None:
                self._status_page.startService()
        except (OSError, HistoryError) as error:
            self._broker.stopService()
            self._close_journal()
            why = error.strerror if isinstance(error, OSError) else f"history.file: {error}"
            if not self.log.on_stderr:
                _log.critical("cannot start: {why}", why=why)
            # Where twistd runs this, the interpreter is next to tell of the exception.
            sys.excepthook = _plainly
            raise CannotStart(why) from None
        self._ticks.startService()
        self._reactor.callWhenRunning(self._started)
        super().startService()

    def stopService(self) -> "defer.Deferred[None]":
        """Stop listening, take in and pass on what is there, and send the clients away."""
        super().stopService()
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        _log.info("stopping")
        systemd.notify(STOPPING=1)
        # A second signal ends the process at once.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        await self._port.stopService()
        self._broker.stopService()
        try:
            await self._reception.close_all().addTimeout(self._limits.stop_timeout, self._reactor)
        except defer.TimeoutError:
            _log.warn("{count} clients had to be cut off", count=len(self._reception.connections))
            self._reception.abort_all()
        if self._status_page is not None:
            await self._status_page.stopService()
        await self._ticks.stopService()
        self._close_journal()
        _log.info("stopped")

    def _restore(self) -> None:
        if self._journal is not None:
            self._hub.restore(self._journal.open())
            _log.info("goes on with {count} channels", count=len(self._hub.channels))

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _started(self) -> None:
        """Called when the reactor runs, so that signals are heard: who is told now may send one."""

        def hung_up(*_: object) -> None:
            self._reactor.callFromThread(self._reload)

        signal.signal(signal.SIGHUP, hung_up)
        process.tame_garbage_collection()
        _log.info(
            "version {version} listens on {public} for browsers and {broker} for the broker",
            version=__version__,
            public=_listed(self._port.addresses),
            broker=_listed(self._broker.addresses),
        )
        if self._status_page is not None:
            _log.info("its status is at {status}", status=_listed(self._status_page.addresses))
        systemd.notify(READY=1)

    def _reload(self) -> None:
        systemd.notify_reloading()
        self.log.reopen()
        if self._file is not None:
            settings = reload.read_again(self._file, self._settings, self._prepare)
            if settings is not None:
                self._adopt(settings)
        systemd.notify(READY=1)

    def _prepare(self, settings: schema.Settings) -> None:
        """Do what may fail, or nothing; raises as ``reload.read_again`` wants it."""
        certificate = self._certificate
        take = certificate.read(settings.websocket_tls) if certificate is not None else None
        if settings.logger != self._settings.logger:
            self.log.adopt(settings.logger)
        if take is not None:
            take()

    def _adopt(self, settings: schema.Settings) -> None:
        self._settings = settings
        for one in fields(settings.limits):
            setattr(self._limits, one.name, getattr(settings.limits, one.name))
        self._hub.bounds = bounds(settings)
        self._broker.publish_by(self._choose_publish())
        self._front.subscribers.limits_changed()
        self._port.limits_changed()
        process.allow_open_files(2 * self._limits.max_connections + SPARE_FILES)
        if self._view is not None:
            self._view.settings = shown(settings)

    def _status(self) -> str:
        channels = self._hub.channels.values()
        followers = sum(len(channel.subscriptions) for channel in channels)
        return f"followers: {followers}, channels: {len(channels)}"

    def _choose_publish(self) -> Publish:
        """A function less where no message is to be logged."""
        return self._publish_aloud if self.log.has_debug else self._hub.publish

    def _publish_aloud(self, messages: list[Message], *, more: bool = False) -> None:
        for message in messages:
            text = message.text.decode()
            _log.debug("{channel!r}: {text}", channel=message.channel_id, text=text)
        self._hub.publish(messages, more=more)

    def _exit(self) -> None:
        _log.warn("the broker asked the monitor to exit")
        self._reactor.callLater(0, self._reactor.stop)


def _listed(addresses: Iterable[Endpoint]) -> str:
    return ", ".join(map(str, addresses))


def _plainly(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    """Tell of a CannotStart without a traceback; an excepthook."""
    if issubclass(kind, CannotStart):
        print(f"recodex-monitor: cannot start: {error}", file=sys.__stderr__)
    else:
        sys.__excepthook__(kind, error, traceback)
