"""The programs that are measured, and how each is started, stopped and talked to."""

import contextlib
import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .native import HERE, build

OURS = "ours"
JOURNAL = "journal"
WATCHED = "watched"
LIMIT = "limit"
ORIGINAL = "original"
NCHAN = "nchan"

# What stands in the configuration of each variant of ours.
VARIANTS = {
    OURS: "",
    JOURNAL: 'history: {{file: "{folder}/history.db"}}\n',
    WATCHED: 'status_uri: ["127.0.0.1", {ports.status}]\n',
}

ENOUGH_FILES = 20_000
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


class Ports(NamedTuple):
    """Where a contestant listens: for WebSocket clients, for whoever publishes, for people."""

    websocket: int
    publish: int
    status: int


@dataclass(frozen=True)
class Contestant:
    """A program to measure.

    `command` writes what the program needs into a folder and returns its command line.
    `load_options` tell the load generator how to subscribe and publish. `scenarios` are the
    only ones that it plays, where there are any.
    """

    name: str
    command: Callable[[Ports, Path], list[str]]
    load_options: Callable[[Ports], list[str]]
    scenarios: tuple[str, ...] = ()


class ContestantFailed(Exception):
    """A contestant did not start, or did not do what a scenario asks for."""


def _over_zmq(ports: Ports) -> list[str]:
    return ["--ws", str(ports.websocket), "--zmq", str(ports.publish)]


def _over_zmq_deflate(ports: Ports) -> list[str]:
    return [*_over_zmq(ports), "--deflate"]


def _over_http(ports: Ports) -> list[str]:
    options = ["--ws", str(ports.websocket), "--http", str(ports.publish)]
    return [*options, "--publish-path", "/publish/%s"]


def _config(ports: Ports, folder: Path, more: str = "") -> Path:
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
        variant: one of VARIANTS: plain, with its history in a file, on the disk of temporary
            files, or with somebody who has its status page open.
    """

    def command(ports: Ports, folder: Path) -> list[str]:
        config = _config(ports, folder, VARIANTS[variant].format(ports=ports, folder=folder))
        return [sys.executable, "-m", "recodex_monitor", "-c", str(config)]

    return Contestant(variant, command, _over_zmq, ("paced",) if variant == WATCHED else ())


def limit() -> Contestant:
    """Return the bare C loop."""

    def command(ports: Ports, folder: Path) -> list[str]:
        return [str(build("limit")), str(ports.websocket), str(ports.publish)]

    return Contestant(LIMIT, command, _over_zmq)


def original(deflate: bool = False) -> Contestant:
    """Return the plain asyncio program, with or without permessage-deflate."""

    def command(ports: Ports, folder: Path) -> list[str]:
        options = ["--deflate"] if deflate else []
        program = str(HERE / "original.py")
        return [sys.executable, program, *options, str(ports.websocket), str(ports.publish)]

    name = f"{ORIGINAL}+deflate" if deflate else ORIGINAL
    return Contestant(name, command, _over_zmq_deflate if deflate else _over_zmq)


def against(template: str, name: str) -> Contestant:
    """Return any other monitor, started by a command with placeholders.

    Args:
        template: a command line; `{ws}` and `{zmq}` become port numbers, `{config}` the
            path of a configuration file in the original's format.
        name: what the table calls it.
    """

    def command(ports: Ports, folder: Path) -> list[str]:
        values = {"ws": ports.websocket, "zmq": ports.publish, "config": _config(ports, folder)}
        return [word.format(**values) for word in shlex.split(template)]

    return Contestant(name, command, _over_zmq)


# Everything that Nchan would limit by default is set well above what the scenarios need.
NGINX_CONFIG = """\
load_module {module};
{user}
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {folder}/nginx.pid;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    keepalive_timeout 1h;
    client_header_buffer_size 16k;
    nchan_shared_memory_size 2048M;
    server {{
        listen 127.0.0.1:{ports.websocket} backlog=4096;
        listen 127.0.0.1:{ports.publish};
        location ~ ^/publish/(.+)$ {{
            nchan_publisher http;
            nchan_channel_id $1;
            nchan_message_buffer_length 1000000;
            nchan_message_timeout 5m;
        }}
        location ~ ^/subscribe/(.+)$ {{
            nchan_subscriber websocket;
            nchan_channel_id $1;
            nchan_subscriber_first_message oldest;
        }}
    }}
}}
"""


def _nginx_config(ports: Ports, folder: Path) -> str:
    return NGINX_CONFIG.format(
        module=NCHAN_MODULE,
        user="user root;" if os.geteuid() == 0 else "",
        files=file_limit(),
        folder=folder,
        ports=ports,
    )


def nchan() -> Contestant:
    """Return nginx with Nchan: ids in the path, messages by HTTP, the client closes."""

    def command(ports: Ports, folder: Path) -> list[str]:
        path = folder / "nginx.conf"
        path.write_text(_nginx_config(ports, folder))
        return [_nginx() or "nginx", "-c", str(path), "-e", str(folder / "error.log")]

    def load_options(ports: Ports) -> list[str]:
        return [*_over_http(ports), "--path", "/subscribe/%s", "--id-in-path", "--client-ends"]

    return Contestant(NCHAN, command, load_options)


def nchan_missing() -> str | None:
    """Return what Nchan lacks on this machine, or None where it can run."""
    if _nginx() is None or not NCHAN_MODULE.exists():
        return "nginx with Nchan is not installed (Debian: apt install libnginx-mod-nchan)"
    return None


def nchan_version() -> str:
    """Return nginx's version, empty where Nchan cannot run."""
    program = _nginx()
    if program is None or nchan_missing():
        return ""
    result = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    return result.stderr.strip().rpartition("/")[2]


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def node_ws(folder: Path) -> Contestant:
    """Return a small server on Node's `ws`; messages come by HTTP.

    Args:
        folder: where ``npm install ws`` was run.
    """

    def command(ports: Ports, _: Path) -> list[str]:
        program = str(HERE / "node_ws.cjs")
        place = str(folder.resolve())
        return ["node", program, place, str(ports.websocket), str(ports.publish)]

    return Contestant("node-ws", command, _over_http)


def file_limit() -> int:
    """Return how many files a process can have open, as far as a benchmark needs them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ENOUGH_FILES if most == resource.RLIM_INFINITY else min(most, ENOUGH_FILES)


def free_ports() -> Ports:
    """Return ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in Ports._fields]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return Ports(*(one.getsockname()[1] for one in sockets))


@contextlib.contextmanager
def running(contestant: Contestant) -> Iterator[tuple[int, Ports]]:
    """Run a contestant; yield its process id and ports once it accepts clients.

    Raises:
        ContestantFailed: it ended, or accepted nobody for 20 seconds.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, ports = Path(name), free_ports()
        output = folder / "output"
        with output.open("wb") as stream:
            # A session of its own: Ctrl-C reaches only us, and we stop it with its children.
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
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
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
