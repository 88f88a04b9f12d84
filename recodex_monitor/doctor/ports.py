"""Who listens on this machine, by what the kernel tells of sockets and processes."""

import os
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from recodex_monitor.doctor.context import Context
from recodex_monitor.doctor.findings import Finding, fail, ok, warn
from recodex_monitor.settings.endpoints import Address, Endpoint, SocketFile
from recodex_monitor.settings.schema import addresses_of

PROC = Path("/proc")
_LISTENING = "0A"
_MONITOR = re.compile(r"recodex[-_]monitor|monitor\.tac|twistd")


class Listening(NamedTuple):
    """A socket that listens.

    Attributes:
        host: its address; of a Unix socket, the file.
        port: of TCP; 0 of a Unix socket.
        inode: by which processes have it.
    """

    host: str
    port: int
    inode: str


class Process(NamedTuple):
    """A process of this machine.

    Attributes:
        pid: its id.
        name: of its program.
        command: its command line.
    """

    pid: int
    name: str
    command: str

    def __str__(self) -> str:
        """Its name and id."""
        return f"{self.name} (pid {self.pid})"

    @property
    def may_listen(self) -> bool:
        """Whether it is a monitor, or systemd, which opens a monitor's port."""
        return self.pid == 1 or self.name == "systemd" or self.is_monitor

    @property
    def is_monitor(self) -> bool:
        """Whether it is a monitor."""
        return _MONITOR.search(self.command) is not None


def listening() -> list[Listening]:
    """All sockets of this machine that listen."""
    return [*_of_tcp("tcp"), *_of_tcp("tcp6"), *_of_unix()]


def _lines(name: str) -> list[list[str]]:
    try:
        return [line.split() for line in (PROC / "net" / name).read_text().splitlines()[1:]]
    except OSError:
        return []


def _of_tcp(name: str) -> Iterator[Listening]:
    for fields in _lines(name):
        if fields[3] == _LISTENING:
            host, _, port = fields[1].partition(":")
            yield Listening(_address(host), int(port, 16), fields[9])


def _address(text: str) -> str:
    """An address from the kernel's words of 32 bits, each in the machine's order of bytes."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _of_unix() -> Iterator[Listening]:
    for fields in _lines("unix"):
        if len(fields) > 7 and int(fields[3], 16) & 0x10000:
            yield Listening(fields[7], 0, fields[6])


def at(endpoint: Endpoint, found: list[Listening]) -> list[Listening]:
    """The sockets that listen at an endpoint."""
    if isinstance(endpoint, SocketFile):
        return [one for one in found if one.host == os.path.realpath(endpoint.path)]
    return [one for one in found if one.port == endpoint.port and _takes(one.host, endpoint)]


def _takes(host: str, endpoint: Address) -> bool:
    anywhere = ("0.0.0.0", "::")
    if host in anywhere or endpoint.host in ("*", *anywhere):
        return True
    with suppress(OSError):
        return host in {str(one[4][0]) for one in socket.getaddrinfo(endpoint.host, None)}
    return host == endpoint.host


def owners(inodes: set[str]) -> list[Process]:
    """The processes that have these sockets, as far as this user may see them."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = []
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if any(os.readlink(one) in wanted for one in (folder / "fd").iterdir()):
                    found.append(process(int(folder.name)))
    return sorted(found)


def process(pid: int) -> Process:
    """A process by its id.

    Raises:
        OSError: it has ended.
    """
    folder = PROC / str(pid)
    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return Process(pid, (folder / "comm").read_text().strip(), command.strip())


def check(context: Context) -> Iterator[Finding]:
    """Whether the monitor listens where its settings say."""
    found = listening()
    is_edge = context.owner is not None
    for key, endpoint in addresses_of(context.settings).items():
        if key == "zeromq_uri" and is_edge:
            yield ok("ports", f"{key}: not bound here, since another node owns")
            continue
        yield _judged(key, endpoint, at(endpoint, found))


def _judged(key: str, endpoint: Endpoint, found: list[Listening]) -> Finding:
    if not found:
        remedy = "Start the monitor: `systemctl start recodex-monitor`. Its log says if it cannot."
        return fail("ports", f"{key}: nothing listens on {endpoint}", remedy)
    who = owners({one.inode for one in found})
    if not who:
        text = f"{key}: {endpoint} is bound, but only root sees by whom"
        return warn("ports", text, "Run this as root.") if os.geteuid() else ok("ports", text)
    others = [one for one in who if not one.may_listen]
    if others and len(others) == len(who):
        text = f"{key}: {endpoint} is bound by {', '.join(map(str, others))}, which is no monitor"
        return fail("ports", text, "Stop that program, or give one of them another port.")
    return ok("ports", f"{key}: {endpoint} is bound by {', '.join(map(str, who))}")


def monitor(context: Context) -> Process | None:
    """The monitor's process; None where it is not to be found."""
    found = listening()
    for endpoint in reversed(addresses_of(context.settings).values()):
        inodes = {one.inode for one in at(endpoint, found)}
        for one in owners(inodes) if inodes else ():
            if one.is_monitor:
                return one
    return None
