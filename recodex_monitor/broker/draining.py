"""What a stop does with the broker's messages: read all that were sent, let no more be sent.

It needs the connections behind a ZeroMQ socket, which ZeroMQ itself does not give away: ZeroMQ can
only cut a connection, not close our side of it and read on.
"""

import os
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Protocol

import zmq

IPC = "ipc://"
"""How ZeroMQ calls the endpoints that are files."""

DRAIN_PAUSE = 0.05
"""Seconds without a message after which ZeroMQ's own thread has handed over what had come."""

DRAIN_TIMEOUT = 1.0
"""Seconds after which a stop waits no longer for a peer that does not hang up."""

_NO_LIMIT = 2**31 - 1

_STEP = 0.01
"""Seconds in which ZeroMQ's thread has answered to us."""

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class Drained(Protocol):
    """A bound socket that a stop reads to its end."""

    socket: Any
    endpoints: Any

    def read_turn(self) -> int:
        """Read and publish at most a turn's messages; returns how many there were."""


def drain(drained: Drained, ended: Callable[[], int]) -> None:
    """Read all that the broker has sent, and let it send no more.

    To unbind alone would cut its connection, and lose what is on the way. Once we have closed
    our side of it, the broker hangs up behind what it has sent, and keeps what it has to say
    for the next monitor. Blocks for little more than DRAIN_TIMEOUT, whatever a peer does.

    Args:
        drained: the socket.
        ended: tells of how many connections ZeroMQ has told so far that they have ended.
    """
    deadline = time.monotonic() + DRAIN_TIMEOUT
    peers = list(accepted([each.address for each in drained.endpoints]))
    # A connection that ZeroMQ does not read since too much waits here would end unread, and
    # the broker go on by another.
    if peers and _settle(drained, ended, deadline):
        drained.socket.set(zmq.RCVHWM, _NO_LIMIT)
    for peer in peers:
        with suppress(OSError):
            peer.shutdown(socket.SHUT_WR)
    while not all(map(hung_up, peers)) and time.monotonic() < deadline:
        drained.socket.poll(1, zmq.POLLIN)
        drained.read_turn()
    for endpoint in drained.endpoints:
        drained.socket.unbind(endpoint.address)
    while drained.socket.poll(DRAIN_PAUSE * 1000, zmq.POLLIN):
        drained.read_turn()
    for peer in peers:
        peer.close()


def _settle(drained: Drained, ended: Callable[[], int], deadline: float) -> bool:
    """Read all, until ZeroMQ knows no connection that has ended; False if it takes too long.

    It would tell each of a new limit, also one of which its thread has freed its half since,
    and that crashes the thread (libzmq 4.3.5). The two halves part in two steps.
    """
    known = -1
    while known != ended() and time.monotonic() < deadline:
        known = ended()
        for _ in range(2):
            _read_all(drained, time.monotonic() + _STEP, deadline)
    return known == ended()


def _read_all(drained: Drained, least: float, most: float) -> None:
    """Read until nothing is left, at least and at most until these times."""
    while (count := drained.read_turn()) or time.monotonic() < least:
        if time.monotonic() > most:
            return
        if not count:
            time.sleep(_STEP / 10)


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
