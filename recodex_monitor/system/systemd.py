"""The protocols of systemd: sd_notify, the watchdog, and socket activation.

Written by hand, since each takes a few lines. Does nothing if systemd has not started the process,
or not with ``Type=notify``.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from twisted.logger import Logger

_log = Logger()

PUBLIC = "browsers"
"""The ``FileDescriptorName=`` of the public port in a socket unit."""

STATUS_INTERVAL = 10.0
"""Seconds between two status lines for ``systemctl status``."""

_FIRST = 3
"""The first descriptor that systemd passes on (SD_LISTEN_FDS_START)."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def notify(**state: str | int) -> None:
    """Send systemd a notification, such as ``READY=1``; errors are ignored.

    Args:
        state: the variables of sd_notify(3).
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # The name of an abstract socket, which has no file, begins with a zero byte.
    address = f"\0{path[1:]}" if path.startswith("@") else path
    text = "\n".join(f"{name}={value}" for name, value in state.items())
    # If systemd fails or hangs, the monitor must continue.
    with (
        contextlib.suppress(OSError, ValueError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        sender.settimeout(0.5)
        sender.sendto(text.encode(), address)


def notify_reloading() -> None:
    """Tell systemd that the settings are being reloaded; ``READY=1`` must follow."""
    notify(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)


class WrongEnvironment(Exception):
    """What is wrong with systemd's variables or descriptors, as a text for people."""


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets that systemd has opened for the public port.

    These are the ones named PUBLIC, or all if systemd gives no names. They stay open in systemd
    when this process ends.

    Raises:
        WrongEnvironment: a descriptor that systemd should have passed is not a listening socket.
    """
    environ = _initial_environment()
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = _number(environ, "LISTEN_FDS")
    names = environ.get("LISTEN_FDNAMES", ":".join([PUBLIC] * count)).split(":")
    if count and PUBLIC not in names[:count]:
        text = "systemd has passed no socket named {name}, only {names}; see FileDescriptorName="
        _log.warn(text, name=PUBLIC, names=", ".join(names))
    descriptors = range(_FIRST, _FIRST + count)
    return [
        _listening(descriptor, environ["LISTEN_FDS"])
        for descriptor, name in zip(descriptors, names, strict=False)
        if name == PUBLIC
    ]


def _listening(descriptor: int, count: str) -> socket.socket:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError as error:
        why = f"descriptor {descriptor} is not a socket ({error.strerror})"
        raise WrongEnvironment(f"systemd's LISTEN_FDS is {count}, but {why}") from None
    found.set_inheritable(False)
    is_listening = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if found.family not in _FAMILIES or not is_listening:
        found.detach()
        why = f"descriptor {descriptor} does not listen for streams; use ListenStream=, Accept=no"
        raise WrongEnvironment(f"systemd's LISTEN_FDS is {count}, but {why}")
    return found


def _number(environ: Mapping[str, str], name: str) -> int:
    """A variable that has a number; 0 if it is not set."""
    text = environ.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise WrongEnvironment(f"the environment variable {name} is {text!r}, not a number")
    return int(text)


def _initial_environment() -> dict[str, str]:
    """The environment that the process was started with; Twisted deletes LISTEN_FDS from it."""
    try:
        content = Path("/proc/self/environ").read_bytes()
    except OSError:
        return dict(os.environ)
    lines = content.decode(errors="replace").split("\0")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def watchdog_interval() -> float | None:
    """Seconds without a sign of life after which systemd ends the process; None for never.

    Raises:
        WrongEnvironment: it is not a number.
    """
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    interval = _number(os.environ, "WATCHDOG_USEC")
    return interval / 1e6 if watched and interval else None


class Heartbeat:
    """Tells systemd that the process is alive, and its status."""

    def __init__(self, status: Callable[[], str], seconds: Callable[[], float]) -> None:
        """Send nothing yet.

        Args:
            status: returns one line for ``systemctl status``.
            seconds: the time in seconds.
        """
        self._status = status
        self._seconds = seconds
        self._watched = watchdog_interval() is not None
        self._status_at = float("-inf")

    def beat(self) -> None:
        """Send a sign of life, and the status if it is due; to be called about every second."""
        if self._watched:
            notify(WATCHDOG=1)
        now = self._seconds()
        if now - self._status_at >= STATUS_INTERVAL:
            self._status_at = now
            notify(STATUS=self._status())
