"""From the addresses in the settings to those that a socket can be bound to."""

import errno
import socket

from recodex_monitor.config import Address


def resolve(address: Address) -> list[Address]:
    """The numeric addresses that a host stands for, each once.

    ``*`` is the IPv6 wildcard, which on Linux takes IPv4 too, or that of IPv4 on a machine
    without IPv6. Of a name's addresses those that this machine does not have are left out,
    unless it has none of them.

    Raises:
        OSError: the name is not known.
    """
    if address.host == "*":
        return [Address("::" if _is_ours("::") else "0.0.0.0", address.port)]
    try:
        found = socket.getaddrinfo(address.host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a name"
        raise OSError(errno.ENXIO, f"cannot find the host {address.host}: {why}") from None
    hosts = list(dict.fromkeys(str(one[4][0]) for one in found))
    return [Address(host, address.port) for host in filter(_is_ours, hosts)] or [
        Address(host, address.port) for host in hosts
    ]


def _is_ours(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
