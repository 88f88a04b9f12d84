"""Stopping the broker's side: read all messages that were sent, and prevent more.

ZeroMQ itself can only cut a connection, and loses what is on its way then. So this half-closes the
connections behind ZeroMQ's back, through copies of their descriptors, which are found among those
of the process.
"""

import os
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Protocol

import zmq

IPC = "ipc://"
"""The scheme of ZeroMQ's endpoints that are socket files."""

DRAIN_PAUSE = 0.05
"""Seconds without a message after which ZeroMQ's thread has handed over all that it received."""

DRAIN_TIMEOUT = 1.0
"""Seconds after which a stop no longer waits for a peer that does not hang up."""

_STEP = 0.01
"""Seconds in which ZeroMQ's thread carries out what it was asked for."""

_NO_LIMIT = 2**31 - 1

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class Drained(Protocol):
    """A bound ZeroMQ socket that can be drained: ``BrokerConnection``.

    Attributes:
        socket: the ZeroMQ socket.
    """

    socket: "zmq.Socket[bytes]"

    @property
    def addresses(self) -> list[str]:
        """The endpoints to which it is bound, as ZeroMQ writes them."""

    def read_turn(self) -> int:
        """Read and publish some messages; returns how many there were."""


def drain(drained: Drained, count_ended: Callable[[], int]) -> None:
    """Read all that the broker has sent, and let it send no more.

    Once our side of a connection is closed, the broker hangs up after what it has already sent, and
    keeps its further messages for the next monitor. To unbind alone would cut the connection and
    lose what is on its way. Blocks for little more than DRAIN_TIMEOUT, whatever a peer does.

    Args:
        drained: the socket; it is unbound afterwards.
        count_ended: returns how many connections ZeroMQ has reported as ended so far.
    """
    deadline = time.monotonic() + DRAIN_TIMEOUT
    peers = list(accepted(drained.addresses))
    # While too many messages wait here, ZeroMQ does not read a connection. It would never see the
    # end of that one, and the broker would go on sending by another.
    if peers and _settle(drained, count_ended, deadline):
        drained.socket.set(zmq.RCVHWM, _NO_LIMIT)
    for peer in peers:
        with suppress(OSError):
            peer.shutdown(socket.SHUT_WR)
    while not all(map(hung_up, peers)) and time.monotonic() < deadline:
        drained.socket.poll(1, zmq.POLLIN)
        drained.read_turn()
    for address in drained.addresses:
        drained.socket.unbind(address)
    while drained.socket.poll(int(DRAIN_PAUSE * 1000), zmq.POLLIN):
        drained.read_turn()
    for peer in peers:
        peer.close()


def _settle(drained: Drained, count_ended: Callable[[], int], deadline: float) -> bool:
    """Read until no disconnect is pending in ZeroMQ; returns False if that takes too long.

    Changing RCVHWM notifies every pipe; if libzmq's thread has already freed its end of one, the
    thread crashes (4.3.5). It frees a pipe in two steps, each of which needs us to read.
    """
    known = -1
    while known != count_ended() and time.monotonic() < deadline:
        known = count_ended()
        for _ in range(2):
            _read_all(drained, time.monotonic() + _STEP, deadline)
    return known == count_ended()


def _read_all(drained: Drained, earliest: float, latest: float) -> None:
    """Read until nothing is left, but not less long than ``earliest`` or longer than ``latest``."""
    while (count := drained.read_turn()) or time.monotonic() < earliest:
        if time.monotonic() > latest:
            return
        if not count:
            time.sleep(_STEP / 10)


def accepted(endpoints: Iterable[str]) -> Iterator[socket.socket]:
    """Copies of the connections that this process has accepted at ZeroMQ's endpoints.

    The caller has to close them.
    """
    names = set(map(_name, endpoints))
    # Complete the list before the first copy: that takes the number that the listing itself had.
    for number in [*filter(_is_socket, map(int, os.listdir("/proc/self/fd")))]:
        with suppress(OSError):
            copy = socket.socket(fileno=os.dup(number))
            if _own_name(copy) in names and _is_connected(copy):
                yield copy
            else:
                copy.close()


def hung_up(peer: socket.socket) -> bool:
    """Whether the other side has closed its end, and ZeroMQ has read all that came before that."""
    try:
        return not peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _name(endpoint: str) -> str | int:
    """What connections to an endpoint have in common: the path of its file, or its port."""
    if endpoint.startswith(IPC):
        return endpoint.removeprefix(IPC)
    return int(endpoint.rpartition(":")[2])


def _is_socket(number: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


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
