"""The connections behind a ZeroMQ socket, which ZeroMQ itself does not give away.

A stop needs them: ZeroMQ can only cut a connection, not close our side of it and read on.
"""

import os
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress

IPC = "ipc://"
"""How ZeroMQ calls the endpoints that are files."""

_INTERNET = (socket.AF_INET, socket.AF_INET6)


def _name(endpoint: str) -> str | int:
    """What tells a connection to an endpoint from others: the file, or the port."""
    if endpoint.startswith(IPC):
        return endpoint.removeprefix(IPC)
    return int(endpoint.rpartition(":")[2])


def accepted(endpoints: Iterable[str]) -> Iterator[socket.socket]:
    """Copies of the connections that this process has accepted at ZeroMQ's endpoints.

    Whoever gets one has to close it.
    """
    names = set(map(_name, endpoints))
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            copy = socket.socket(fileno=os.dup(number))
            if _own_name(copy) in names and _is_connected(copy):
                yield copy
            else:
                copy.close()


def _own_name(copy: socket.socket) -> str | int | None:
    name = copy.getsockname()
    if copy.family in _INTERNET:
        return int(name[1])
    return name if isinstance(name, str) else None


def _is_connected(peer: socket.socket) -> bool:
    try:
        peer.getpeername()
    except OSError:
        return False
    return True


def hung_up(peer: socket.socket) -> bool:
    """Whether a connection's other side has closed its end, and all was read that came before."""
    try:
        return not peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
