"""The settings: each section is a dataclass, each key a field with its default and its reader.

The metadata of a field has the function of readers.py that reads its value.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from recodex_monitor.settings import readers
from recodex_monitor.settings.endpoints import Address, Endpoint, Network

DEFAULT_FILE = "/etc/recodex/monitor/config.yml"
"""Where an installed system has its configuration."""

DEFAULT_LOG = "/var/log/recodex/monitor.log"
"""The log of a monitor that was not told of another."""


class ConfigError(Exception):
    """A configuration that cannot be used.

    Attributes:
        problems: one text a mistake, ``FILE:LINE: key: what is wrong, what would be right``.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _key(read: readers.Reader, default: Any, name: str | None = None) -> Any:
    """A field that is a key of the file; ``name`` where the key is no Python name."""
    return field(default=default, metadata={"read": read, "name": name})


@dataclass(frozen=True)
class Logger:
    """Section ``logger``: where the log goes, what is in it, and how it is rotated."""

    file: str | None = _key(readers.text, None)
    level: str = _key(readers.one_of("level", readers.LEVELS), "info")
    max_size: int = _key(readers.whole(0, 2**40), 1024 * 1024, name="max-size")
    rotations: int = _key(readers.whole(0, 1000), 3)
    format: str = _key(readers.one_of("format", readers.FORMATS), "text")


_EVERYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@dataclass(frozen=True)
class Zeromq:
    """Section ``zeromq``: the broker's side, and who may be a broker."""

    allow_exit: bool = _key(readers.flag, False)
    allowed_networks: tuple[Network, ...] = _key(readers.networks, _EVERYWHERE)
    curve_key: str | None = _key(readers.text, None)
    curve_clients: str | None = _key(readers.text, None)


@dataclass(frozen=True)
class Tls:
    """Section ``websocket_tls``: the files, in PEM; without a certificate there is no TLS."""

    certificate: str | None = _key(readers.text, None)
    key: str | None = _key(readers.text, None)
    chain: str | None = _key(readers.text, None)


@dataclass(frozen=True)
class Channels:
    """Section ``channels``: how long channels live, in seconds."""

    retention: float = _key(readers.seconds(0, 86400), 300)
    failed_grace: float = _key(readers.seconds(0, 3600), 10)
    idle_timeout: float = _key(readers.seconds(1, 30 * 86400), 3600)


@dataclass(frozen=True)
class History:
    """Section ``history``: the file in which channels survive; without one, they do not."""

    file: str | None = _key(readers.text, None)
    sync: bool = _key(readers.flag, False)


_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass
class Limits:
    """Section ``limits``: what bounds the monitor; times in seconds, sizes in bytes.

    The parts of a monitor share one, and look into it whenever they need a limit: it may change
    while the monitor runs.
    """

    max_connections: int = _key(readers.whole(1, 10**6), 16384)
    max_connections_per_address: int = _key(readers.whole(1, 10**6), 2048)
    trusted_proxies: tuple[Network, ...] = _key(readers.networks, _LOOPBACK)
    allowed_origins: tuple[str, ...] = _key(readers.origins, ("*",))
    backlog: int = _key(readers.whole(1, 65535), 4096)

    handshake_timeout: float = _key(readers.seconds(1, 600), 10)
    subscribe_timeout: float = _key(readers.seconds(1, 3600), 10)
    ping_interval: float = _key(readers.seconds(1, 3600), 20)
    ping_timeout: float = _key(readers.seconds(1, 3600), 20)
    heartbeat: float = _key(readers.seconds(1, 3600), 25)
    event_comment: float = _key(readers.seconds(1, 3600), 15)
    stall_timeout: float = _key(readers.seconds(1, 3600), 60)
    finish_timeout: float = _key(readers.seconds(1, 86400), 600)
    close_timeout: float = _key(readers.seconds(1, 3600), 5)
    stop_timeout: float = _key(readers.seconds(0, 3600), 9)

    max_handshake_size: int = _key(readers.whole(1024, 2**20), 16384)
    max_channel_id: int = _key(readers.whole(44, 65536), 512)
    max_client_message: int = _key(readers.whole(44, 2**20), 4096)
    ignored_messages: int = _key(readers.whole(0, 10**6), 100)

    max_channels: int = _key(readers.whole(1, 10**7), 100_000)
    max_channel_messages: int = _key(readers.whole(1, 10**9), 100_000)
    max_channel_bytes: int = _key(readers.whole(1024, 2**40), 32 * 2**20)
    max_history_bytes: int = _key(readers.whole(1024, 2**50), 2**30)

    messages_a_turn: int = _key(readers.whole(1, 10**6), 200)
    high_water_mark: int = _key(readers.whole(1, 10**6), 1000)
    max_frame_size: int = _key(readers.whole(1024, 2**31), 2**20)


@dataclass(frozen=True)
class Settings:
    """All settings of a monitor; made without arguments, the defaults."""

    websocket_uri: Endpoint = _key(readers.endpoint("unix"), Address("127.0.0.1", 4567))
    zeromq_uri: Endpoint = _key(readers.endpoint("ipc"), Address("127.0.0.1", 7894))
    logger: Logger = field(default_factory=Logger)
    zeromq: Zeromq = field(default_factory=Zeromq)
    channels: Channels = field(default_factory=Channels)
    history: History = field(default_factory=History)
    websocket_tls: Tls = field(default_factory=Tls)
    limits: Limits = field(default_factory=Limits)
    status_uri: Endpoint | None = _key(readers.endpoint("unix"), None)
    status_token: str | None = _key(readers.token, None)
    status_hosts: tuple[str, ...] = _key(readers.hosts, ())
    show_addresses: bool = _key(readers.flag, False)
