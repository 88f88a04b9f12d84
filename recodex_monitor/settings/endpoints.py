"""Endpoints: the addresses and Unix sockets on which the monitor listens."""

import ipaddress
import os
from dataclasses import dataclass
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
"""A range of IP addresses."""


@dataclass(frozen=True)
class Address:
    """A TCP address.

    Attributes:
        host: an IP address, a host name, or ``*`` for all addresses.
        port: from 0 to 65535; 0 lets the system choose one.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class SocketFile:
    """The file of a Unix socket.

    Attributes:
        path: an absolute path.
        scheme: the prefix that the settings use for it, ``unix`` or ``ipc``.
    """

    path: str
    scheme: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.path}"


Endpoint = Address | SocketFile
"""Where the monitor listens."""


def is_private(address: Endpoint) -> bool:
    """Whether only this machine can connect: it is a loopback address or a Unix socket."""
    if isinstance(address, SocketFile) or address.host.lower().rstrip(".") == "localhost":
        return True
    parsed = parsed_ip(address.host)
    return parsed is not None and parsed.is_loopback


def collide(one: Endpoint, other: Endpoint) -> bool:
    """Whether one process could not listen on both; host names other than localhost never do."""
    if isinstance(one, SocketFile) and isinstance(other, SocketFile):
        return os.path.realpath(one.path) == os.path.realpath(other.path)
    if isinstance(one, SocketFile) or isinstance(other, SocketFile):
        return False
    if one.port != other.port or not one.port:
        return False
    return bool(_hosts(one.host) & _hosts(other.host)) or any(
        _covers(wide, narrow) for wide, narrow in ((one.host, other.host), (other.host, one.host))
    )


def _hosts(host: str) -> set[str]:
    if host.lower().rstrip(".") == "localhost":
        return {"127.0.0.1", "::1"}
    return {str(parsed_ip(host) or host.lower().rstrip("."))}


def _covers(wide: str, narrow: str) -> bool:
    """Whether a wildcard takes another host's connections; those of IPv6 take IPv4 too."""
    if wide == "*" or str(parsed_ip(wide)) == "::":
        return True
    return str(parsed_ip(wide)) == "0.0.0.0" and any(":" not in one for one in _hosts(narrow))


IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_LONGEST = 64
"""Characters of an IP address at most; the longest have a scope, which is an interface's name."""


def parsed_ip(text: str) -> IpAddress | None:
    """The IP address that a text represents; None if it is not one.

    A dual-stack socket reports IPv4 clients as ``::ffff:192.0.2.1``; here that is 192.0.2.1.
    """
    return _parsed_ip(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=1024)
def _parsed_ip(text: str) -> IpAddress | None:
    """The same address is looked at several times for a client; parsing it takes 2 us."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
