"""What systemd and the monitor tell each other, in the environment and by datagrams.

Does nothing where systemd has not started the process, or not as ``Type=notify``.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

PUBLIC = "browsers"
"""FileDescriptorName= of a socket unit that is the public port."""

STATUS_INTERVAL = 10.0
"""Seconds between two states for ``systemctl status``."""

_FIRST = 3
"""The first descriptor that systemd hands over."""


def notify(**state: str | int) -> None:
    """Tell systemd of a change, such as ``READY=1``.

    Args:
        state: the variables of sd_notify(3).
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # An abstract socket has no file; its name begins with a zero byte.
    address = f"\0{path[1:]}" if path.startswith("@") else path
    text = "\n".join(f"{name}={value}" for name, value in state.items())
    # Whatever is wrong with systemd, the monitor goes on; nor may it be held up for long.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.5)
        sender.sendto(text.encode(), address)


def notify_reloading() -> None:
    """Tell systemd that settings are read anew; READY=1 follows."""
    notify(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets that systemd has opened for the public port.

    Those that have the name PUBLIC, or any where systemd names none. They are listened on for
    as long as systemd does, whatever becomes of this process.
    """
    environ = _started_with()
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environ.get("LISTEN_FDS") or 0)
    names = environ.get("LISTEN_FDNAMES", ":".join([PUBLIC] * count)).split(":")
    descriptors = range(_FIRST, _FIRST + count)
    found = [
        socket.socket(fileno=descriptor)
        for descriptor, name in zip(descriptors, names, strict=False)
        if name == PUBLIC
    ]
    for one in found:
        one.set_inheritable(False)
    return found


def _started_with() -> dict[str, str]:
    """The environment that the process was started with; Twisted takes LISTEN_FDS out of it."""
    try:
        content = Path("/proc/self/environ").read_bytes()
    except OSError:
        return dict(os.environ)
    lines = content.decode(errors="replace").split("\0")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def watchdog_interval() -> float | None:
    """Seconds after which systemd takes the process for hung; None where it does not watch."""
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    interval = int(os.environ.get("WATCHDOG_USEC") or 0)
    return interval / 1e6 if watched and interval else None


class Heartbeat:
    """Tells systemd that the process lives, and what it is doing."""

    def __init__(self, status: Callable[[], str], seconds: Callable[[], float]) -> None:
        """Begin silent.

        Args:
            status: tells in a line what the process is doing.
            seconds: the time.
        """
        self._status = status
        self._seconds = seconds
        self._watched = watchdog_interval() is not None
        self._told = float("-inf")

    def beat(self) -> None:
        """Feed the watchdog; call it about every second from what must not stand still."""
        if self._watched:
            notify(WATCHDOG=1)
        now = self._seconds()
        if now - self._told >= STATUS_INTERVAL:
            self._told = now
            notify(STATUS=self._status())
