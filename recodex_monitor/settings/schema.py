"""The schema of the settings: all sections and keys, with their defaults.

A section of the file is a dataclass and a key is a field. The field's default is the key's, and
its metadata has the function that reads the value (readers.py).
"""

import ipaddress
from dataclasses import Field, dataclass, field
from socket import gethostname
from typing import Any

from recodex_monitor.settings import readers
from recodex_monitor.settings.endpoints import Address, Endpoint, Network
from recodex_monitor.settings.engines import EngineAddress, engines
from recodex_monitor.settings.key_files import key_files

DEFAULT_FILE = "/etc/recodex/monitor/config.yml"
"""The configuration file of an installed monitor."""

DEFAULT_LOG = "/var/log/recodex/monitor.log"
"""The log file, where the configuration names none."""

STDERR = "-"
"""The value of ``logger.file`` that means standard error."""


class ConfigError(Exception):
    """A configuration that cannot be used.

    Attributes:
        problems: one text for each mistake: ``FILE:LINE: key: what is wrong; what to write``.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _key(read: readers.Reader, default: Any, name: str | None = None) -> Any:
    """A field for a key; ``name`` is the key where that cannot be a Python name."""
    return field(default=default, metadata={"read": read, "name": name})


@dataclass(frozen=True)
class Logger:
    """Section ``logger``: the log file, its level and format, its rotation and its buffer.

    ``max_size`` and ``buffer`` are in bytes; ``rotations`` is the number of rotated files kept.
    """

    file: str | None = _key(readers.text, None)
    level: str = _key(readers.level, "info")
    max_size: int = _key(readers.whole(0, 2**40, or_text=True), 1024 * 1024, name="max-size")
    rotations: int = _key(readers.whole(0, 1000, or_text=True), 3)
    format: str = _key(readers.one_of("format", readers.FORMATS), "text")
    buffer: int = _key(readers.whole(4096, 2**30), 2**20)


_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_EVERYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@dataclass(frozen=True)
class Zeromq:
    """Section ``zeromq``: what a broker may do, and who may connect as one."""

    allow_exit: bool = _key(readers.flag, False)
    allowed_networks: tuple[Network, ...] = _key(readers.networks, _EVERYWHERE)
    curve_key: str | None = _key(readers.text, None)
    curve_clients: str | None = _key(readers.text, None)
    peer_timeout: float = _key(readers.seconds(4, 3600), 60)


@dataclass(frozen=True)
class Tls:
    """Section ``websocket_tls``: PEM files; without a certificate there is no TLS."""

    certificate: str | None = _key(readers.text, None)
    key: str | None = _key(readers.text, None)
    chain: str | None = _key(readers.text, None)


@dataclass(frozen=True)
class Channels:
    """Section ``channels``: how long channels are kept, in seconds.

    ``retention`` begins with a channel's end. Silence for ``idle_timeout``
    is an end, and so is silence for ``failed_grace`` after FAILED, unless another attempt begins.
    """

    retention: float = _key(readers.seconds(0, 86400), 300)
    failed_grace: float = _key(readers.seconds(0, 3600), 10)
    idle_timeout: float = _key(readers.seconds(1, 30 * 86400), 3600)


@dataclass(frozen=True)
class History:
    """Section ``history``: the file that lets channels survive a restart; without one, none do."""

    file: str | None = _key(readers.text, None)
    sync: bool = _key(readers.flag, False)


@dataclass(frozen=True)
class Clients:
    """Section ``clients``: how clients are treated, beyond the limits."""

    fail_browsers: bool = _key(readers.flag, True)


@dataclass(frozen=True)
class Cluster:
    """Section ``cluster``: the engine that joins several nodes; without one, there is one node.

    ``lease`` and ``patience`` are in seconds: the owner is replaced when it has not renewed its
    lease, and lets the broker go after ``patience`` if another owns.
    """

    engine: tuple[EngineAddress, ...] | None = _key(engines, None)
    name: str | None = _key(readers.word, None)
    owner: str = _key(readers.one_of("role", readers.OWNERS), "auto")
    lease: float = _key(readers.seconds(0.2, 60), 1.5)
    patience: float = _key(readers.seconds(1, 3600), 10)
    prefix: str = _key(readers.word, "rx")
    password_file: str | None = _key(readers.text, None)

    @property
    def node(self) -> str:
        """The name of this node."""
        return self.name or gethostname()


@dataclass(frozen=True)
class Page:
    """Section ``page``: what the job's page leads to when a job has ended."""

    name: str = _key(readers.text, "ReCodEx")
    link: str | None = _key(readers.link, None)


@dataclass(frozen=True)
class Access:
    """Section ``access``: the keys of followers' tokens, and whether everybody needs a token."""

    key_file: tuple[str, ...] = _key(key_files, ())
    required: bool = _key(readers.flag, False)


@dataclass(frozen=True)
class Limits:
    """Section ``limits``: the bounds of everything that grows; times in seconds, sizes in bytes."""

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
    client_interval: float = _key(readers.seconds(1, 3600), 60)
    max_client_messages: int = _key(readers.whole(1, 10**6), 2000)
    max_client_bytes: int = _key(readers.whole(1024, 2**30), 2**20)
    max_channels_per_client: int = _key(readers.whole(1, 10**5), 500)
    max_channels_per_request: int = _key(readers.whole(1, 10**4), 100)
    ignored_messages: int = _key(readers.whole(0, 10**6), 100)

    max_channels: int = _key(readers.whole(1, 10**7), 100_000)
    max_tombstones: int = _key(readers.whole(0, 10**6), 20_000)
    max_channel_messages: int = _key(readers.whole(1, 10**9), 100_000)
    max_channel_bytes: int = _key(readers.whole(1024, 2**40), 32 * 2**20)
    max_history_bytes: int = _key(readers.whole(1024, 2**50), 2**30)

    messages_a_turn: int = _key(readers.whole(1, 10**6), 200)
    high_water_mark: int = _key(readers.whole(1, 10**6), 1000)
    max_frame_size: int = _key(readers.whole(1024, 2**31), 2**20)


@dataclass(frozen=True)
class Settings:
    """All settings of a monitor; those of an empty file, if made without arguments."""

    websocket_uri: Endpoint = _key(readers.endpoint("unix"), Address("127.0.0.1", 4567))
    zeromq_uri: Endpoint = _key(readers.endpoint("ipc"), Address("127.0.0.1", 7894))
    logger: Logger = field(default_factory=Logger)
    zeromq: Zeromq = field(default_factory=Zeromq)
    channels: Channels = field(default_factory=Channels)
    history: History = field(default_factory=History)
    cluster: Cluster = field(default_factory=Cluster)
    websocket_tls: Tls = field(default_factory=Tls)
    limits: Limits = field(default_factory=Limits)
    clients: Clients = field(default_factory=Clients)
    access: Access = field(default_factory=Access)
    page: Page = field(default_factory=Page)
    status_uri: Endpoint | None = _key(readers.endpoint("unix"), None)
    status_token: str | None = _key(readers.token, None)
    status_hosts: tuple[str, ...] = _key(readers.hosts, ())
    show_addresses: bool = _key(readers.flag, False)
    websocket_proxy_protocol: bool = _key(readers.flag, False)


@dataclass(slots=True)
class LiveSettings:
    """The sections that may change while the monitor runs: one object, shared by its parts.

    A part keeps this object, and looks a value up whenever it needs it. A reload replaces whole
    sections, so no part ever sees a mix of old and new limits.
    """

    channels: Channels = field(default_factory=Channels)
    limits: Limits = field(default_factory=Limits)
    clients: Clients = field(default_factory=Clients)
    page: Page = field(default_factory=Page)

    def adopt(self, settings: Settings) -> None:
        """Replace the sections by those of new settings."""
        self.channels, self.limits = settings.channels, settings.limits
        self.clients, self.page = settings.clients, settings.page


def addresses_of(settings: Settings) -> dict[str, Endpoint]:
    """Where a monitor listens, by the key that says so."""
    keys = ("websocket_uri", "zeromq_uri", "status_uri")
    found = {key: getattr(settings, key) for key in keys}
    return {key: endpoint for key, endpoint in found.items() if endpoint is not None}


def key_of(one: Field[Any]) -> str:
    """The key in the file that a field of a section stands for."""
    name: str = one.metadata.get("name") or one.name
    return name
