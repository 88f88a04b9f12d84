"""Settings: from YAML to values, every mistake with its file, line and key.

The dataclasses are the whole schema: a section is a dataclass, a key is a field, its default is
the field's, and how its value is read (readers.py) stands in its metadata. Knows no Twisted.
"""

import difflib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from recodex_monitor.settings import readers
from recodex_monitor.settings.readers import Address, Endpoint, Network, SocketFile

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


_S = TypeVar("_S")


def installed_file() -> str | None:
    """The configuration of an installed system; None where there is none."""
    return DEFAULT_FILE if Path(DEFAULT_FILE).exists() else None


def load(file: str | None) -> Settings:
    """Read the settings from a YAML file; without one, the defaults.

    Raises:
        ConfigError: the file cannot be read or something is wrong in it; all mistakes at once.
    """
    if file is None:
        return Settings()
    try:
        return parse(Path(file).read_bytes(), file)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from None


def parse(content: bytes, file: str) -> Settings:
    """Make settings of YAML; an empty document is the defaults.

    Args:
        content: the YAML, in UTF-8 or with a byte order mark.
        file: what the file is called in errors.

    Raises:
        ConfigError: something is wrong; all mistakes at once.
    """
    problems: list[str] = []
    try:
        text = content.decode("utf-8-sig")
        document = yaml.compose(text, Loader=yaml.SafeLoader)
        settings = Settings() if document is None else _section(Settings, document, problems)
        if document is not None and not problems:
            problems += _exposed(settings, document)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{file}:{line}: is not UTF-8, which YAML is written in"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{file}:{_yaml_problem(error, text)}"]) from None
    except RecursionError:
        raise ConfigError([f"{file}:1: is nested too deeply"]) from None
    except Exception as error:
        # PyYAML lets some of its own errors through; whatever it is, the file is wrong.
        raise ConfigError([f"{file}:1: is not YAML: {error!r}"]) from None
    if problems:
        raise ConfigError([f"{file}:{problem}" for problem in problems])
    return settings


def is_private(address: Endpoint) -> bool:
    """Whether only this machine can connect to an address: loopback or a Unix socket."""
    if isinstance(address, SocketFile) or address.host.lower().rstrip(".") == "localhost":
        return True
    parsed = readers.parsed_ip(address.host)
    return parsed is not None and parsed.is_loopback


def _exposed(settings: Settings, document: yaml.Node) -> Iterator[str]:
    """What is wrong with a status page that others than this machine could read."""
    if settings.status_uri and not is_private(settings.status_uri) and not settings.status_token:
        assert isinstance(document, yaml.MappingNode)
        line = next(line for key, line, _ in _items(document) if key == "status_uri")
        why = "others can connect there, and it shows the ids of jobs"
        yield f"{line}: status_uri: {why}, write a status_token too, or use 127.0.0.1"


def _yaml_problem(error: yaml.YAMLError, text: str) -> str:
    """What PyYAML says, as ``LINE: what is wrong``."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"{line}: is not YAML: the character {chr(error.character)!r} is not allowed"
    assert isinstance(error, yaml.MarkedYAMLError)
    mark = error.problem_mark or error.context_mark
    if "single document" in (error.context or ""):
        return f"{_line(mark)}: a second document begins, only one is read"
    return f"{_line(mark)}: is not YAML: {error.problem or error.context}"


def _line(mark: Any) -> int:
    return mark.line + 1 if mark else 1


def _section(cls: type[_S], node: yaml.Node, problems: list[str], path: str = "") -> _S:
    """Make a dataclass of a mapping; what is wrong goes to ``problems`` as ``LINE: key: ...``."""
    if node.tag == "tag:yaml.org,2002:null":
        return cls()  # an empty document, or a heading with nothing below it
    if not isinstance(node, yaml.MappingNode):
        where = f"{path.rstrip('.')}: " if path else ""
        problems.append(
            f"{_line(node.start_mark)}: {where}{readers.shown_node(node)} is not a mapping of keys"
        )
        return cls()
    known = {one.metadata.get("name") or one.name: one for one in fields(cast(Any, cls))}
    found: dict[str, Any] = {}
    for key, line, value in _items(node):
        name = f"{path}{key}"
        try:
            if key not in known:
                raise readers.Mistake(_unknown(key, known))
            if known[key].name in found:
                raise readers.Mistake("is given twice, keep one")
            found[known[key].name] = _value(known[key], value, problems, name)
        except readers.Mistake as mistake:
            problems.append(f"{line}: {name}: {mistake}")
    return cls(**found)


def _items(node: yaml.MappingNode) -> Iterator[tuple[str, int, yaml.Node]]:
    for key, value in node.value:
        text = key.value if isinstance(key, yaml.ScalarNode) else readers.shown_node(key)
        yield re.sub(r"[^\x20-\x7e]", "?", text[:60]), _line(key.start_mark), value


def _value(key: Any, node: yaml.Node, problems: list[str], name: str) -> Any:
    if "read" in key.metadata:
        return key.metadata["read"](node)
    return _section(key.default_factory, node, problems, f"{name}.")


def _unknown(key: str, known: dict[str, Any]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1)
    if nearest:
        return f"is not known, did you mean {nearest[0]}?"
    return f"is not known, there are {', '.join(known)}"


def changes(old: Settings, new: Settings) -> Iterator[tuple[str, Any, Any]]:
    """The keys whose values differ, with what may be shown of both; None where there is none."""
    before, after = _flat(old), _flat(new)
    for key in sorted(before | after):
        if before.get(key) != after.get(key):
            if key == "status_token":
                yield key, "***", "***"
            else:
                yield key, before.get(key), after.get(key)


def _flat(settings: Settings) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in _plain(settings).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            flat[name] = value
    return flat


def dump(settings: Settings) -> str:
    """The settings as YAML that ``parse`` reads to the same settings."""
    return yaml.safe_dump(_plain(settings), sort_keys=False)


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as plain values that may be shown: without the token."""
    plain: dict[str, Any] = _plain(settings)
    plain.pop("status_token", None)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Address):
        return [value.host, value.port]
    if isinstance(value, SocketFile):
        return str(value)
    if isinstance(value, tuple):
        return [one if isinstance(one, str) else str(one) for one in value]
    if is_dataclass(value):
        return {
            one.metadata.get("name") or one.name: _plain(getattr(value, one.name))
            for one in fields(value)
            if getattr(value, one.name) is not None
        }
    return value
