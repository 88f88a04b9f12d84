"""Puts a monitor together: the only file that knows all the others.

``makeService`` is the one way to a monitor, for the ``recodex-monitor`` command, ``twistd
recodex-monitor`` and ``monitor.tac`` alike.
"""

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from twisted.application.internet import TimerService
from twisted.application.service import Service
from twisted.internet import defer
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized

from recodex_monitor import __version__, config
from recodex_monitor.broker import BrokerService, Publish
from recodex_monitor.clock import TICK, LoopClock
from recodex_monitor.hub import Hub
from recodex_monitor.log import Log, open_log
from recodex_monitor.messages import Message
from recodex_monitor.transport import PublicPort
from recodex_monitor.websocket import SPARE_FILES, SubscriberFactory

_log = Logger()

FILE_VARIABLE = "RECODEX_MONITOR_CONFIG"
"""The environment variable that names the configuration file of ``monitor.tac``."""


class CannotStart(Exception):
    """Why a monitor cannot start, as a text for people."""


class Options(usage.Options):
    """The options of ``twistd recodex-monitor``."""

    optParameters = [  # noqa: RUF012
        ["config", "c", None, "Configuration file; without one, the defaults."],
    ]


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
    try:
        settings = config.load(file)
        return Monitor(settings, open_log(settings.logger), reactor)
    except config.ConfigError as error:
        raise CannotStart("\n".join(["wrong configuration", *error.problems])) from None
    except OSError as error:
        where = f"{file}: logger.file: " if file else ""
        raise CannotStart(f"{where}cannot write {error.filename}: {error.strerror}") from None


def makeService(options: Options) -> "Monitor":
    """Make a monitor for twistd, or end the process with 1 and say why on standard error."""
    try:
        return make_monitor(options["config"])
    except CannotStart as error:
        raise SystemExit(f"recodex-monitor: cannot start: {error}") from None


def file_from_environment() -> str | None:
    """The configuration file where no option names it: from the environment, else as installed."""
    installed = config.DEFAULT_FILE if os.path.exists(config.DEFAULT_FILE) else None
    return os.environ.get(FILE_VARIABLE) or installed


class Monitor(Service):
    """A whole monitor: listens on both sides while it runs."""

    def __init__(self, settings: config.Settings, log: Log, reactor: Any) -> None:
        """Put the parts together; nothing listens yet."""
        self.log = log
        self._reactor = reactor
        self._limits = limits = settings.limits
        self._clock = LoopClock(reactor)
        self._hub = Hub(
            self._clock,
            retention=settings.channels.retention,
            failed_grace=settings.channels.failed_grace,
            idle_timeout=settings.channels.idle_timeout,
            max_channels=limits.max_channels,
            max_channel_messages=limits.max_channel_messages,
            max_channel_bytes=limits.max_channel_bytes,
            max_history_bytes=limits.max_history_bytes,
        )
        debug = settings.logger.level == "debug"
        publish = _logging_each(self._hub.publish) if debug else self._hub.publish
        on_exit = self._exit if settings.zeromq.allow_exit else None
        self._clients = SubscriberFactory(self._hub, limits, self._clock)
        self._broker = BrokerService(settings.zeromq_uri, limits, publish, on_exit)
        self._port = PublicPort(settings.websocket_uri, limits, self._clients, reactor)
        self._ticks = TimerService(
            TICK, _contained, self._clock.tick, self._hub.expire, self._clients.sweep
        )
        self._ticks.clock = reactor

    def setServiceParent(self, parent: Any) -> None:
        """Join an application, whose log is from then on the monitor's own."""
        super().setServiceParent(parent)
        if isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.log)

    def startService(self) -> None:
        """Listen on both sides.

        Raises:
            CannotStart: an address cannot be listened on.
        """
        _allow_open_files(2 * self._limits.max_connections + SPARE_FILES)
        try:
            self._broker.startService()
            self._port.startService()
        except OSError as error:
            self._broker.stopService()
            if not self.log.on_stderr:
                _log.critical("cannot start: {why}", why=error.strerror)
            # Where twistd runs this, the interpreter is next to tell of the exception.
            sys.excepthook = _plainly
            raise CannotStart(error.strerror) from None
        self._ticks.startService()
        self._reactor.callWhenRunning(self._take_signals)
        self._reactor.callWhenRunning(_tame_garbage_collection)
        super().startService()
        _log.info(
            "version {version} listens on {public} for browsers and {broker} for the broker",
            version=__version__,
            public=_listed(self._port.addresses),
            broker=_listed(self._broker.addresses),
        )

    def stopService(self) -> "defer.Deferred[None]":
        """Stop listening, take in and pass on what is there, and send the clients away."""
        super().stopService()
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        _log.info("stopping")
        # A second signal ends the process at once.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        await self._port.stopService()
        self._broker.stopService()
        try:
            await self._clients.close_all().addTimeout(self._limits.stop_timeout, self._reactor)
        except defer.TimeoutError:
            _log.warn("{count} clients had to be cut off", count=len(self._clients.connections))
            self._clients.abort_all()
        await self._ticks.stopService()
        _log.info("stopped")

    def _take_signals(self) -> None:
        def reopen(*_: object) -> None:
            self._reactor.callFromThread(self.log.reopen)

        signal.signal(signal.SIGHUP, reopen)

    def _exit(self) -> None:
        _log.warn("the broker asked the monitor to exit")
        self._reactor.callLater(0, self._reactor.stop)


def _logging_each(publish: Publish) -> Publish:
    """Publish, and log every message; only where the log has debug, since it is not cheap."""

    def publish_and_log(messages: list[Message], *, more: bool = False) -> None:
        for message in messages:
            _log.debug(
                "{channel!r}: {text}", channel=message.channel_id, text=message.text.decode()
            )
        publish(messages, more=more)

    return publish_and_log


def _contained(*sweeps: Callable[[], None]) -> None:
    """Call all; a TimerService calls no more after an exception."""
    for sweep in sweeps:
        try:
            sweep()
        except Exception:
            _log.failure("a sweep failed")


def _tame_garbage_collection() -> None:
    """Keep collections short: a full one stopped the loop for 60 to 160 ms at 9500 connections.

    What is there from the start is never garbage, and connections leave no cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _allow_open_files(wanted: int) -> None:
    """Let the process open as many files as it may, and tell if that is too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < wanted:
        _log.warn(
            "may open {hard} files only, too few for max_connections (needs {wanted})",
            hard=hard,
            wanted=wanted,
        )


def _listed(addresses: Iterable[config.Address]) -> str:
    return ", ".join(map(str, addresses))


def _plainly(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    """Tell of a CannotStart without a traceback; an excepthook."""
    if issubclass(kind, CannotStart):
        print(f"recodex-monitor: cannot start: {error}", file=sys.__stderr__)
    else:
        sys.__excepthook__(kind, error, traceback)
