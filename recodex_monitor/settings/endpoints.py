"""Endpoints: the addresses and Unix sockets on which the monitor listens."""

import ipaddress
from dataclasses import dataclass


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

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parsed_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a text is; None if it is none.

    A socket that takes both kinds tells of IPv4 as ``::ffff:192.0.2.1``, which is IPv4 here.
    """
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
