"""The programs that are measured, and how each is started, stopped and addressed."""

import contextlib
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .native import HERE, MissingTool, build

OURS = "ours"
JOURNAL = "journal"
WATCHED = "watched"
LIMIT = "limit"
ORIGINAL = "original"

# What each variant of ours adds to the configuration.
VARIANTS = {
    OURS: "",
    JOURNAL: 'history: {{file: "{folder}/history.db"}}\n',
    WATCHED: 'status_uri: ["127.0.0.1", {ports.status}]\n',
}

ENOUGH_FILES = 20_000


class Ports(NamedTuple):
    """Where a contestant listens: for WebSocket clients, for the publisher, for administrators."""

    websocket: int
    publish: int
    status: int


@dataclass(frozen=True)
class Contestant:
    """A program to measure.

    Attributes:
        name: what tables and charts call it.
        command: writes what the program needs into a folder and returns its command line.
        load_options: tell the load generator how to subscribe and publish.
        scenarios: the only ones that it plays; empty for all.
        is_watched: whether its status page is open while it is measured.
    """

    name: str
    command: Callable[[Ports, Path], list[str]]
    load_options: Callable[[Ports], list[str]]
    scenarios: tuple[str, ...] = ()
    is_watched: bool = False


class ContestantFailed(Exception):
    """A contestant did not start, or did not do what a scenario needs."""


def over_zmq(ports: Ports) -> list[str]:
    """Return how the load generator subscribes by WebSocket and publishes over ZeroMQ."""
    return ["--ws", str(ports.websocket), "--zmq", str(ports.publish)]


def _over_zmq_deflate(ports: Ports) -> list[str]:
    return [*over_zmq(ports), "--deflate"]


def over_http(ports: Ports) -> list[str]:
    """Return how the load generator subscribes by WebSocket and publishes over HTTP."""
    options = ["--ws", str(ports.websocket), "--http", str(ports.publish)]
    return [*options, "--publish-path", "/publish/%s"]


def write_config(ports: Ports, folder: Path, more: str = "") -> Path:
    """Write a configuration file, with more lines; return its path."""
    path = folder / "config.yml"
    path.write_text(
        f'websocket_uri: ["127.0.0.1", {ports.websocket}]\n'
        f'zeromq_uri: ["127.0.0.1", {ports.publish}]\n'
        f'logger: {{file: "{folder / "monitor.log"}", level: warning}}\n'
        f"{more}"
    )
    return path


def ours(variant: str = OURS) -> Contestant:
    """Return the monitor of this project, as this interpreter finds it.

    Args:
        variant: one of VARIANTS: plain, with its history in a file on the disk of temporary
            files, or with its status page open.
    """
    return _monitor(variant, variant, [sys.executable])


def earlier(source: Path, name: str, folder: Path) -> list[Contestant]:
    """Return another version of this project's monitor, in all its variants.

    It runs in this interpreter's environment, so that all versions have the same dependencies.

    Args:
        source: a wheel, or a folder with the source tree.
        name: what the table calls it; `variant_name` makes that of a variant.
        folder: where a wheel is unpacked.

    Raises:
        MissingTool: there is no such wheel or source tree.
    """
    tree = source.resolve() if source.is_dir() else _unpack(source, folder / name)
    if not (tree / "recodex_monitor").is_dir():
        raise MissingTool(f"{source} holds no recodex_monitor")
    # PYTHONSAFEPATH keeps the current folder, which has our own monitor, out of the path.
    python = ["env", f"PYTHONPATH={tree}", "PYTHONSAFEPATH=1", sys.executable]
    return [_monitor(variant, variant_name(name, variant), python) for variant in VARIANTS]


def variant_name(name: str, variant: str) -> str:
    """Return what a variant of another version is called."""
    return name if variant == OURS else f"{name}+{variant}"


def _unpack(wheel: Path, folder: Path) -> Path:
    """Unpack a wheel as pip installs it, without its dependencies; return the folder."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--disable-pip-version-check", "--target", str(folder), str(wheel)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise MissingTool(f"{wheel} cannot be unpacked: {result.stderr.strip()}")
    return folder


def _monitor(variant: str, name: str, python: Sequence[str]) -> Contestant:
    def command(ports: Ports, folder: Path) -> list[str]:
        config = write_config(ports, folder, VARIANTS[variant].format(ports=ports, folder=folder))
        return [*python, "-m", "recodex_monitor", "-c", str(config)]

    is_watched = variant == WATCHED
    scenarios = ("paced",) if is_watched else ()
    return Contestant(name, command, over_zmq, scenarios, is_watched)


def limit() -> Contestant:
    """Return the bare C loop, the least that any monitor must cost."""

    def command(ports: Ports, folder: Path) -> list[str]:
        return [str(build("limit")), str(ports.websocket), str(ports.publish)]

    return Contestant(LIMIT, command, over_zmq)


def original(deflate: bool = False) -> Contestant:
    """Return the plain asyncio program, with or without permessage-deflate."""

    def command(ports: Ports, folder: Path) -> list[str]:
        options = ["--deflate"] if deflate else []
        program = str(HERE / "original.py")
        return [sys.executable, program, *options, str(ports.websocket), str(ports.publish)]

    name = f"{ORIGINAL}+deflate" if deflate else ORIGINAL
    return Contestant(name, command, _over_zmq_deflate if deflate else over_zmq)


def other(template: str, name: str) -> Contestant:
    """Return any other monitor, started by a command with placeholders.

    Args:
        template: a command line; `{ws}` and `{zmq}` become port numbers, `{config}` the
            path of a configuration file in the original's format.
        name: what the table calls it.
    """

    def command(ports: Ports, folder: Path) -> list[str]:
        values = {
            "ws": ports.websocket,
            "zmq": ports.publish,
            "config": write_config(ports, folder),
        }
        return [word.format(**values) for word in shlex.split(template)]

    return Contestant(name, command, over_zmq)


def node_ws(folder: Path) -> Contestant:
    """Return a small server on Node's `ws`; messages come over HTTP.

    Args:
        folder: where ``npm install ws`` was run.
    """

    def command(ports: Ports, _: Path) -> list[str]:
        program = str(HERE / "node_ws.cjs")
        modules = str(folder.resolve())
        return ["node", program, modules, str(ports.websocket), str(ports.publish)]

    return Contestant("node-ws", command, over_http)


def file_limit() -> int:
    """Return how many files a process may open, at most as many as a benchmark needs."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ENOUGH_FILES if most == resource.RLIM_INFINITY else min(most, ENOUGH_FILES)


def free_ports() -> Ports:
    """Return ports that are free at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in Ports._fields]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return Ports(*(one.getsockname()[1] for one in sockets))


@contextlib.contextmanager
def running(contestant: Contestant) -> Iterator[tuple[int, Ports]]:
    """Run a contestant; yield its process id and ports once it accepts clients.

    Raises:
        ContestantFailed: it ended, or accepted no connection within 20 seconds.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, ports = Path(name), free_ports()
        output = folder / "output"
        with output.open("wb") as stream:
            # In a session of its own, so that Ctrl-C reaches only us; we stop it with its children.
            process = subprocess.Popen(
                contestant.command(ports, folder),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            _wait_until_ready(process, ports.websocket, output)
            yield process.pid, ports
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    state = "does not listen" if process.poll() is None else f"ended with {process.returncode}"
    raise ContestantFailed(f"{state}: {output.read_text(errors='replace')[-2000:].strip()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
