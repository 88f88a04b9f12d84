"""What the parts of a monitor get of its settings, and how they are wired."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger

from recodex_monitor import __version__
from recodex_monitor.channels.hub import Bounds
from recodex_monitor.clients.detection import Front
from recodex_monitor.settings import export, schema

if TYPE_CHECKING:
    from recodex_monitor.network import tls
    from recodex_monitor.status import metrics, site

_log = Logger()


def bounds(settings: schema.Settings) -> Bounds:
    """The settings that bound a hub."""
    channels, limits = settings.channels, settings.limits
    return Bounds(
        retention=channels.retention,
        failed_grace=channels.failed_grace,
        idle_timeout=channels.idle_timeout,
        max_channels=limits.max_channels,
        max_channel_messages=limits.max_channel_messages,
        max_channel_bytes=limits.max_channel_bytes,
        max_history_bytes=limits.max_history_bytes,
    )


def secured(
    settings: schema.Tls, front: Front, reactor: Any
) -> "tuple[tls.Certificate | None, IProtocolFactory]":
    """What makes the public port's connections: with TLS where it is configured."""
    if settings == schema.Tls():
        return None, front
    from recodex_monitor.network import tls

    certificate = tls.Certificate(settings, reactor.seconds)
    return certificate, tls.SecureFactory(certificate, front, reactor)


def shown(settings: schema.Settings) -> dict[str, Any]:
    """What the status page shows of the settings, with the version."""
    return {"version": __version__, **export.shown(settings)}


def scraped(numbers: "metrics.Metrics") -> "Callable[[], site.Answer]":
    """What makes the answer with the metrics."""
    from recodex_monitor.status.site import Answer

    return lambda: Answer(200, numbers.text(), numbers.content_type)


def call_all(*sweeps: Callable[[], None]) -> None:
    """Call all; a TimerService calls no more after an exception."""
    for sweep in sweeps:
        try:
            sweep()
        except Exception:
            _log.failure("a sweep failed")
