"""Makes the relay from the settings, or says what is missing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recodex_monitor.channels.hub import Hub
from recodex_monitor.relay.layout import Keys
from recodex_monitor.settings.endpoints import Address
from recodex_monitor.settings.schema import Cluster, ConfigError, LiveSettings, Settings
from recodex_monitor.timing.clock import LoopClock

if TYPE_CHECKING:
    from recodex_monitor.relay.relay import Relay


def make_relay(
    settings: Settings, live: LiveSettings, hub: Hub, clock: LoopClock, reactor: Any, version: str
) -> "Relay":
    """Make the relay of these settings, which must have a cluster.

    Raises:
        ConfigError: the engine's password cannot be read, or a package is missing.
    """
    try:
        from recodex_monitor.relay.dialing import Dialer
        from recodex_monitor.relay.relay import TIMEOUT_LEASES, About, Relay
    except ImportError as error:
        raise ConfigError([f"cluster: {error}; install the package hiredis"]) from None
    cluster, keys = settings.cluster, Keys(settings.cluster.prefix)
    _require_tls(cluster)
    password = password_of(cluster)
    timeout = TIMEOUT_LEASES * cluster.lease
    dialer = Dialer(cluster.engine or (), password, keys, timeout, reactor)
    relay = Relay(cluster, live, hub, clock, dialer)
    at = settings.status_uri
    status = (at.host, at.port) if isinstance(at, Address) else ("", 0)
    relay.about = About(version, status, ", ".join(map(str, cluster.engine or ())))
    return relay


def _require_tls(cluster: Cluster) -> None:
    if not any(one.tls for one in cluster.engine or ()):
        return
    try:
        import twisted.internet.ssl  # noqa: F401
    except ImportError as error:
        text = "cluster.engine: rediss: needs what recodex-monitor[tls] installs"
        raise ConfigError([f"{text}: {error}"]) from None


def password_of(cluster: Cluster) -> str | None:
    """The engine's password, from its file; None without one.

    Raises:
        ConfigError: the file cannot be read.
    """
    file = cluster.password_file
    try:
        return Path(file).read_text().strip() if file is not None else None
    except OSError as error:
        text = f"cluster.password_file: cannot read {error.filename}: {error.strerror}"
        raise ConfigError([text]) from None
