"""The addresses of the engines that join several nodes: Valkey or Redis servers."""

import os
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

import yaml

from recodex_monitor.settings.endpoints import parsed_ip
from recodex_monitor.settings.readers import MAX_SOCKET_PATH, Mistake, is_name

_WRITE = '"redis://HOST:6379", "rediss://HOST:6379" or "unix:/PATH"'


@dataclass(frozen=True)
class EngineAddress:
    """The address of a Valkey or Redis server.

    Attributes:
        host: an IP address or a host name; empty for a Unix socket.
        port: from 1 to 65535.
        path: of a Unix socket; empty for a host.
        tls: whether the connection is encrypted, and the host's certificate checked.
        user: to log in as; empty for the default one.
        password: to log in with; empty where there is none.
        database: the number of the database.
    """

    host: str = ""
    port: int = 6379
    path: str = ""
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0

    def __str__(self) -> str:
        """The address without its password."""
        return self._written("***" if self.password else "")

    @property
    def url(self) -> str:
        """The address as in the settings, with its password."""
        return self._written(quote(self.password, safe=""))

    def _written(self, password: str) -> str:
        if self.path:
            return f"unix:{self.path}"
        user = quote(self.user, safe="") + (f":{password}@" if password else "")
        user = user + "@" if user and not password else user
        host = f"[{self.host}]" if ":" in self.host else self.host
        database = f"/{self.database}" if self.database else ""
        return f"{'rediss' if self.tls else 'redis'}://{user}{host}:{self.port}{database}"


def engines(node: yaml.Node) -> tuple[EngineAddress, ...]:
    """Read the address of an engine, or a list of them."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    found = tuple(map(_engine, nodes))
    if not found:
        raise Mistake(f"names no server; write {_WRITE}")
    return found


def _engine(node: yaml.Node) -> EngineAddress:
    """Read one address; the error does not show the value, which may have a password."""
    found = _parsed(node.value) if isinstance(node, yaml.ScalarNode) else None
    if found is None:
        raise Mistake(f"is not the address of a Valkey or Redis server; write {_WRITE}")
    return found


def _parsed(text: str) -> EngineAddress | None:
    if text.startswith("unix:"):
        path = re.sub("^//+", "/", text.removeprefix("unix:"))
        is_path = path.startswith("/") and len(os.fsencode(path)) <= MAX_SOCKET_PATH
        return EngineAddress(path=path) if is_path else None
    try:
        url = urlsplit(text)
        host, port, database = url.hostname or "", url.port or 6379, url.path.strip("/")
    except ValueError:
        return None
    is_host = parsed_ip(host) is not None or is_name(host)
    if not is_host or url.scheme not in ("redis", "rediss") or url.query or url.fragment:
        return None
    if not re.fullmatch("[0-9]{0,4}", database):
        return None
    user, password = unquote(url.username or ""), unquote(url.password or "")
    return EngineAddress(host, port, "", url.scheme == "rediss", user, password, int(database or 0))
