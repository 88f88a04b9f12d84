"""The process: a light event loop, short garbage collections, the limit of open files."""

import gc
import os
import resource
from collections.abc import Callable, Iterator
from select import EPOLLIN
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

from recodex_monitor.system.descriptors import raise_limit

_log = Logger()

PLAIN_LOOP = "RECODEX_MONITOR_PLAIN_LOOP"
"""The environment variable that keeps Twisted's own loop, whatever its value."""

LOOP_FIELDS: dict[str, Callable[[Any], bool]] = {
    "_poller": lambda value: callable(getattr(value, "poll", None)),
    "_selectables": lambda value: isinstance(value, dict),
    "_doReadOrWrite": callable,
    "_disconnectSelectable": callable,
    "_newTimedCalls": lambda value: isinstance(value, list),
    "_pendingTimedCalls": lambda value: isinstance(value, list),
    "threadCallQueue": lambda value: isinstance(value, list),
    "_justStopped": lambda value: isinstance(value, bool),
    "running": lambda value: isinstance(value, bool),
}
"""The fields of Twisted's epoll reactor that the light loop uses, with a check of each.

Most are undocumented; they are so in Twisted 24.11 and 26.10.
"""


def unusable_fields(reactor: object) -> Iterator[str]:
    """What the light loop needs of a reactor and does not find there as expected."""
    if not isinstance(reactor, EPollReactor):
        yield "epoll"
        return
    if type(reactor).doIteration is not type(reactor).doPoll:
        yield "doIteration"
    for name, is_usable in LOOP_FIELDS.items():
        if not is_usable(getattr(reactor, name, None)):
            yield name


def poll_lightly(reactor: Any) -> bool:
    """Replace the reactor's polling by a smaller loop; call it before the reactor runs.

    Why it is written by hand: Twisted's own loop makes a dozen calls whenever it wakes up, and
    another dozen to set up the context of its old logging system, which nothing here uses. A
    process that wakes up for one message runs with cold caches, and each call costs it about a
    microsecond: without them the delivery of a single message costs a seventh less.

    It depends on undocumented fields of Twisted. Where one of them is not as expected, or another
    reactor than epoll is used, the reactor keeps its own loop, which does the same, and the log
    says so.

    Returns: whether the loop was replaced.
    """
    if PLAIN_LOOP in os.environ:
        _log.info("uses Twisted's own event loop, since {name} is set", name=PLAIN_LOOP)
        return False
    if unusable := ", ".join(unusable_fields(reactor)):
        text = "uses Twisted's own event loop: the lighter one does not know this reactor ({what})"
        _log.warn(text, what=unusable)
        return False
    reactor.doIteration = light_loop(reactor)
    return True


def light_loop(reactor: Any) -> Callable[[float | None], None]:
    """Make a ``doIteration`` that waits and reads until the reactor has something else to do."""
    poll, selectables = reactor._poller.poll, reactor._selectables

    def do_poll(timeout: float | None) -> None:
        while True:
            try:
                events = poll(timeout, len(selectables))
            except InterruptedError:
                return
            for fd, event in events:
                selectable = selectables.get(fd)
                if selectable is None:
                    continue
                if event != EPOLLIN:
                    reactor._doReadOrWrite(selectable, fd, event)
                    continue
                try:
                    why = selectable.doRead()
                except Exception as error:
                    _log.failure("reading failed")
                    why = error
                if why:
                    reactor._disconnectSelectable(selectable, why, True)
            if reactor._newTimedCalls or reactor.threadCallQueue or reactor._justStopped:
                return
            timed = reactor._pendingTimedCalls
            timeout = timed[0].time - reactor.seconds() if timed else None
            if not reactor.running or (timeout is not None and timeout <= 0):
                return

    return do_poll


def tame_garbage_collection() -> None:
    """Keep collections short: a full one stopped the loop for 60 to 160 ms at 9500 connections.

    What exists at the start is never garbage, and connections leave no cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def allow_open_files(clients: int, spare: int) -> None:
    """Raise the soft limit of open files to the hard one; warn if it leaves too few for clients.

    Args:
        clients: how many may be connected.
        spare: how many files are kept for other things.
    """
    hard = raise_limit()
    wanted = clients + spare
    if hard < wanted and hard != resource.RLIM_INFINITY:
        _log.warn(
            "the process may open {hard} files, which is enough for {room} clients and not for "
            "{clients}: set LimitNOFILE={wanted} in the systemd unit, elsewhere "
            "`ulimit -n {wanted}` before the start, or limits.max_connections to {room}",
            hard=hard,
            room=max(1, hard - spare),
            clients=clients,
            wanted=wanted,
        )


def memory() -> int:
    """Bytes of memory that the process takes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """How many files the process has open."""
    # Newer kernels (6.2) have the number at hand; a listing takes 5 ms at 10,000 connections.
    return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
