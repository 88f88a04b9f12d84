"""Addresses of the settings as a socket can bind them: host names, wildcards, socket files."""

import errno
import os
import socket
import stat

from recodex_monitor.settings.endpoints import Address, Endpoint, SocketFile

FILE_MODE = 0o660
"""Permissions of a Unix socket's file: its owner and its group may connect."""


def resolve(address: Address) -> list[Address]:
    """The IP addresses of a host name or wildcard, without repetitions.

    ``*`` becomes the IPv6 wildcard, which on Linux takes IPv4 too, or the IPv4 wildcard on a
    machine without IPv6. Addresses that this machine does not have are left out, unless it has
    none of them.

    Raises:
        OSError: the host name is unknown.
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


def is_ipv6_alone(endpoint: Endpoint) -> bool:
    """Whether IPv4 clients cannot connect; False for a host name that is unknown."""
    try:
        hosts = [] if isinstance(endpoint, SocketFile) else [one.host for one in resolve(endpoint)]
    except OSError:
        return False
    # Sockets that listen on the wildcard take IPv4, too.
    return bool(hosts) and all(":" in host and host != "::" for host in hosts)


def _is_ours(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def bound_file(file: SocketFile) -> socket.socket:
    """A Unix socket that is bound to its file and does not listen yet.

    Raises:
        OSError: the file cannot be made, or ``clear`` fails.
    """
    clear(file)
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(file.path)
        os.chmod(file.path, FILE_MODE)
    except OSError:
        made.close()
        raise
    return made


def clear(file: SocketFile) -> None:
    """Remove the file of a Unix socket that a killed process has left behind.

    Raises:
        OSError: a process still listens there, or the file is no socket.
    """
    try:
        is_socket = stat.S_ISSOCK(os.stat(file.path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    if _is_listened_on(file.path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    os.unlink(file.path)


def _is_listened_on(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # The backlog is full, so a process listens and is slow to accept.
    return True
