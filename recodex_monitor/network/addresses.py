"""From the addresses in the settings to those that a socket can be bound to."""

import errno
import os
import socket
import stat

from recodex_monitor.settings.endpoints import Address, SocketFile

FILE_MODE = 0o660
"""Who may connect to the file of a Unix socket: its owner and its group."""


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


def bound_file(file: SocketFile) -> socket.socket:
    """A Unix socket with its file, on which nobody listens yet.

    Raises:
        OSError: the file cannot be made; see ``clear`` too.
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
    """Remove what a process that was killed has left of a Unix socket.

    Raises:
        OSError: somebody listens there, or it is something else.
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
            return True  # by somebody who is slow to accept
    return True
