"""Settings: from YAML to frozen values, every mistake with its file, line and key.

The dataclasses are the whole schema: a section is a dataclass, a key is a field, its default is
the field's, and how its value is read stands in the field's metadata. Knows no Twisted.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

DEFAULT_FILE = "/etc/recodex/monitor/config.yml"
"""Where an installed system has its configuration."""

DEFAULT_LOG = "/var/log/recodex/monitor.log"
"""The log of a monitor that was not told of another."""

LEVELS = ("debug", "info", "warning", "error", "critical")
"""The log levels, in Python's names, from the most to the least."""


class ConfigError(Exception):
    """A configuration that cannot be used.

    Attributes:
        problems: one text a mistake, ``FILE:LINE: key: what is wrong, what would be right``.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Address:
    """Where to listen: an IP address, a host name, or ``*`` for all addresses; and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class SocketFile:
    """Where to listen: the file of a Unix socket; and how the settings call such an address."""

    path: str
    scheme: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.path}"


Endpoint = Address | SocketFile
"""Where to listen, on the network or not."""


class _Mistake(Exception):
    """What is wrong with one value, and what would be right."""


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Reader = Callable[[yaml.Node], Any]
_MAX_SOCKET_PATH = 107  # Linux's limit
_ORIGIN = re.compile(r"https?://([A-Za-z0-9*._-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?")
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


def _scalar(node: yaml.Node) -> Any:
    """The value of a YAML scalar; None for anything that is not one."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except Exception:
        return None  # a tag that does not fit its value makes PyYAML raise anything


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value[:60])
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _text(node: yaml.Node) -> str:
    value = _scalar(node)
    if not isinstance(value, str) or not value or re.search("[\0\ud800-\udfff]", value):
        raise _Mistake(f"{_shown(node)} is not a text, write it in quotes")
    return value


def _flag(node: yaml.Node) -> bool:
    value = _scalar(node)
    if not isinstance(value, bool):
        raise _Mistake(f"{_shown(node)} is neither true nor false")
    return value


def _level(node: yaml.Node) -> str:
    value = _scalar(node)
    if not isinstance(value, str) or value.lower() not in LEVELS:
        raise _Mistake(f"{_shown(node)} is not a level, use one of {', '.join(LEVELS)}")
    return value.lower()


def _whole(low: int, high: int) -> _Reader:
    def read(node: yaml.Node) -> int:
        value = _scalar(node)
        if type(value) is not int or not low <= value <= high:
            raise _Mistake(f"{_shown(node)} is not a whole number from {low} to {high}")
        return value

    return read


def _seconds(low: int, high: int) -> _Reader:
    def read(node: yaml.Node) -> float:
        value = _scalar(node)
        if type(value) not in (int, float) or not low <= value <= high:
            raise _Mistake(f"{_shown(node)} is not a number of seconds from {low} to {high}")
        return cast(float, value)

    return read


def _networks(node: yaml.Node) -> tuple[Network, ...]:
    return tuple(_network(item) for item in _list(node))


def _network(node: yaml.Node) -> Network:
    value = _scalar(node)
    try:
        return ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError:
        raise _Mistake(f'{_shown(node)} is not a network, write "10.1.0.0/16"') from None


def _origins(node: yaml.Node) -> tuple[str, ...]:
    return tuple(_origin(item) for item in _list(node))


def _origin(node: yaml.Node) -> str:
    value = _scalar(node)
    if isinstance(value, str) and (value == "*" or _ORIGIN.fullmatch(value)):
        return value
    example = '"https://recodex.example.org", "https://*.example.org", or "*" for any'
    raise _Mistake(f"{_shown(node)} is not an origin, write {example}")


def _list(node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        raise _Mistake(f"{_shown(node)} is not a list, write it in brackets")
    return cast(list[yaml.Node], node.value)


def _address(node: yaml.Node) -> Address:
    if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
        raise _Mistake(f'{_shown(node)} is not an address, write ["127.0.0.1", 4567]')
    return Address(_host(node.value[0]), _port(node.value[1]))


def _endpoint(scheme: str) -> _Reader:
    def read(node: yaml.Node) -> Endpoint:
        value = _scalar(node)
        if not isinstance(value, str) or not value.startswith(f"{scheme}:"):
            return _address(node)
        # Others write three slashes, as in a URL.
        path = re.sub("^//+", "/", value.removeprefix(f"{scheme}:"))
        if not path.startswith("/") or "\0" in path or len(os.fsencode(path)) > _MAX_SOCKET_PATH:
            limit = f"{_MAX_SOCKET_PATH} bytes at most"
            raise _Mistake(
                f'{_shown(node)} is not an absolute path, write "{scheme}:/PATH", {limit}'
            )
        return SocketFile(path, scheme)

    return read


def _token(node: yaml.Node) -> str:
    value = _scalar(node)
    if isinstance(value, str) and re.fullmatch("[!-~]{16,512}", value):
        return value
    raise _Mistake("is not a token, write 16 or more ASCII letters, digits and signs in quotes")


def _hosts(node: yaml.Node) -> tuple[str, ...]:
    return tuple(_host(item) for item in _list(node))


def _host(node: yaml.Node) -> str:
    value = _scalar(node)
    if isinstance(value, str) and (value == "*" or _is_ip(value) or _is_name(value)):
        return value
    raise _Mistake(f'{_shown(node)} is not a host, use an IP address, a host name, or "*" for all')


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    # A name of numbers alone is an IP address that somebody has mistyped.
    return bool(_HOST.fullmatch(text)) and not text.replace(".", "").isdigit()


def _port(node: yaml.Node) -> int:
    value = _scalar(node)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if type(value) is not int or not 0 <= value <= 65535:
        raise _Mistake(f"{_shown(node)} is not a port, use a number from 0 to 65535")
    return value


def _key(read: _Reader, default: Any, name: str | None = None) -> Any:
    """A field that is a key of the file; ``name`` where the key is no Python name."""
    return field(default=default, metadata={"read": read, "name": name})


@dataclass(frozen=True)
class Logger:
    """Section ``logger``: where the log goes, what is in it, and how it is rotated."""

    file: str | None = _key(_text, None)
    level: str = _key(_level, "info")
    max_size: int = _key(_whole(0, 2**40), 1024 * 1024, name="max-size")
    rotations: int = _key(_whole(0, 1000), 3)


@dataclass(frozen=True)
class Zeromq:
    """Section ``zeromq``: the broker's side."""

    allow_exit: bool = _key(_flag, False)


@dataclass(frozen=True)
class Tls:
    """Section ``websocket_tls``: the files, in PEM; without a certificate there is no TLS."""

    certificate: str | None = _key(_text, None)
    key: str | None = _key(_text, None)
    chain: str | None = _key(_text, None)


@dataclass(frozen=True)
class Channels:
    """Section ``channels``: how long channels live, in seconds."""

    retention: float = _key(_seconds(0, 86400), 300)
    failed_grace: float = _key(_seconds(0, 3600), 10)
    idle_timeout: float = _key(_seconds(1, 30 * 86400), 3600)


@dataclass(frozen=True)
class History:
    """Section ``history``: the file in which channels survive; without one, they do not."""

    file: str | None = _key(_text, None)
    sync: bool = _key(_flag, False)


_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True)
class Limits:
    """Section ``limits``: what bounds the monitor; times in seconds, sizes in bytes."""

    max_connections: int = _key(_whole(1, 10**6), 16384)
    max_connections_per_address: int = _key(_whole(1, 10**6), 2048)
    trusted_proxies: tuple[Network, ...] = _key(_networks, _LOOPBACK)
    allowed_origins: tuple[str, ...] = _key(_origins, ("*",))
    backlog: int = _key(_whole(1, 65535), 4096)

    handshake_timeout: float = _key(_seconds(1, 600), 10)
    subscribe_timeout: float = _key(_seconds(1, 3600), 10)
    ping_interval: float = _key(_seconds(1, 3600), 20)
    ping_timeout: float = _key(_seconds(1, 3600), 20)
    heartbeat: float = _key(_seconds(1, 3600), 25)
    event_comment: float = _key(_seconds(1, 3600), 15)
    stall_timeout: float = _key(_seconds(1, 3600), 60)
    finish_timeout: float = _key(_seconds(1, 86400), 600)
    close_timeout: float = _key(_seconds(1, 3600), 5)
    stop_timeout: float = _key(_seconds(0, 3600), 9)

    max_handshake_size: int = _key(_whole(1024, 2**20), 16384)
    max_channel_id: int = _key(_whole(44, 65536), 512)
    max_client_message: int = _key(_whole(44, 2**20), 4096)
    ignored_messages: int = _key(_whole(0, 10**6), 100)

    max_channels: int = _key(_whole(1, 10**7), 100_000)
    max_channel_messages: int = _key(_whole(1, 10**9), 100_000)
    max_channel_bytes: int = _key(_whole(1024, 2**40), 32 * 2**20)
    max_history_bytes: int = _key(_whole(1024, 2**50), 2**30)

    messages_a_turn: int = _key(_whole(1, 10**6), 200)
    high_water_mark: int = _key(_whole(1, 10**6), 1000)
    max_frame_size: int = _key(_whole(1024, 2**31), 2**20)


@dataclass(frozen=True)
class Settings:
    """All settings of a monitor; made without arguments, the defaults."""

    websocket_uri: Endpoint = _key(_endpoint("unix"), Address("127.0.0.1", 4567))
    zeromq_uri: Endpoint = _key(_endpoint("ipc"), Address("127.0.0.1", 7894))
    logger: Logger = field(default_factory=Logger)
    zeromq: Zeromq = field(default_factory=Zeromq)
    channels: Channels = field(default_factory=Channels)
    history: History = field(default_factory=History)
    websocket_tls: Tls = field(default_factory=Tls)
    limits: Limits = field(default_factory=Limits)
    status_uri: Endpoint | None = _key(_endpoint("unix"), None)
    status_token: str | None = _key(_token, None)
    status_hosts: tuple[str, ...] = _key(_hosts, ())
    show_addresses: bool = _key(_flag, False)


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
    return _is_ip(address.host) and ipaddress.ip_address(address.host).is_loopback


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
        problems.append(f"{_line(node.start_mark)}: {where}{_shown(node)} is not a mapping of keys")
        return cls()
    known = {one.metadata.get("name") or one.name: one for one in fields(cast(Any, cls))}
    values: dict[str, Any] = {}
    for key, line, value in _items(node):
        name = f"{path}{key}"
        try:
            if key not in known:
                raise _Mistake(_unknown(key, known))
            if known[key].name in values:
                raise _Mistake("is given twice, keep one")
            values[known[key].name] = _value(known[key], value, problems, name)
        except _Mistake as mistake:
            problems.append(f"{line}: {name}: {mistake}")
    return cls(**values)


def _items(node: yaml.MappingNode) -> Iterator[tuple[str, int, yaml.Node]]:
    for key, value in node.value:
        text = key.value if isinstance(key, yaml.ScalarNode) else _shown(key)
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


def dump(settings: Settings) -> str:
    """The settings as YAML that ``parse`` reads to the same settings."""
    return yaml.safe_dump(_plain(settings), sort_keys=False)


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as plain values that may be shown: without the token."""
    values: dict[str, Any] = _plain(settings)
    values.pop("status_token", None)
    return values


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
