"""Real proxies that run the shipped samples, and followers that come through them."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import trustme
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.integration.support import ROOT, Monitor, free_ports

SAMPLES = ROOT / "install" / "proxy"
IDLE = 75
"""Seconds of silence after which the samples cut a connection, where they cut it at all."""

HOMES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "APACHE_RUN_DIR")
"""Variables that name the folders in which a proxy keeps what it makes."""

CUT = (OSError, EOFError, WebSocketException)
"""What a client sees of a connection that was cut, or that could not be made."""


class Proxy:
    """A proxy before a monitor: the shipped sample with other paths, ports and certificates.

    Attributes:
        cuts_silence: whether it cuts a connection on which nobody has said anything.
        idle: seconds after which it does, instead of the sample's.
    """

    program: ClassVar[str]
    sample: ClassVar[str]
    cuts_silence = True

    def __init__(self, folder: str, monitor: Monitor, idle: int = IDLE) -> None:
        self.folder = Path(folder).absolute()
        self.folder.mkdir()
        self.idle = idle
        self.backend = "{}:{}".format(*monitor.address)
        (self.port,) = free_ports(1)
        authority = trustme.CA()
        self._certify(authority)
        self.tls = ssl.create_default_context()
        authority.configure_trust(self.tls)

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here; None if it can."""
        return None if shutil.which(cls.program) else f"{cls.program} is not installed"

    def _certify(self, authority: trustme.CA) -> None:
        issued = authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(self.folder / "privkey.pem")
        for part in issued.cert_chain_pems:
            part.write_to_path(self.folder / "fullchain.pem", append=True)

    def _configured(self) -> str:
        """The sample as it is run here."""
        text = (SAMPLES / self.sample).read_text()
        text = text.replace("127.0.0.1:4567", self.backend)
        return text.replace("/etc/ssl/recodex", str(self.folder))

    def _command(self) -> list[str]:
        """Write the configuration; returns what runs the proxy by it in the foreground."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it listens."""
        with (self.folder / "output").open("w") as output:
            self.process = subprocess.Popen(
                self._command(),
                env={**os.environ, **dict.fromkeys(HOMES, str(self.folder))},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + 20
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it did not start: {(self.folder / 'output').read_text()}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def reload(self) -> None:
        """Have it read a changed configuration, as its administrator would."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it; fails if it leaves a process behind."""
        self.process.terminate()
        try:
            self.process.wait(10)
            deadline = time.monotonic() + 5
            while self._has_processes() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not self._has_processes(), "it left processes behind"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _has_processes(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


class Nginx(Proxy):
    """nginx, with what the sample says of the main configuration too."""

    program = "nginx"
    sample = "nginx.conf"

    def _command(self) -> list[str]:
        site = self._configured().replace("    listen [::]:443 ssl http2;\n", "")
        site = site.replace("listen 443 ", f"listen 127.0.0.1:{self.port} ")
        site = site.replace(f"{IDLE}s;", f"{self.idle}s;")
        main = "\n".join(re.findall(r"^#     (.+)$", site, re.MULTILINE))
        # So that a reload ends connections while the test looks.
        main = main.replace("worker_shutdown_timeout 10m", "worker_shutdown_timeout 1s")
        self._write(f"pid nginx.pid;\nerror_log error.log;\n{main}\nhttp {{\n{site}}}\n")
        return ["nginx", "-p", str(self.folder), "-c", "nginx.conf", "-g", "daemon off;"]

    def _write(self, text: str) -> None:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        own = [f"{kind}_temp_path {kind};" for kind in kinds]
        text = text.replace("http {", "http {\naccess_log off;\n" + "\n".join(own))
        (self.folder / "nginx.conf").write_text(text)

    def reload(self) -> None:
        """Have it read its configuration again; old processes end in a second."""
        command = ["nginx", "-p", str(self.folder), "-c", "nginx.conf", "-s", "reload"]
        subprocess.run(command, check=True, capture_output=True)


class Apache(Proxy):
    """Apache, with the modules that Debian enables and those that the sample names."""

    program = "apache2"
    sample = "apache.conf"

    def _command(self) -> list[str]:
        site = self._configured().replace("*:443", f"127.0.0.1:{self.port}")
        site = site.replace(f"Timeout {IDLE}", f"Timeout {self.idle}")
        named = re.findall(r"a2enmod (.+)", site)[0].split()
        modules = ("mpm_event", "authz_core", "reqtimeout", "mime", "deflate", "filter", "setenvif")
        loaded = "".join(
            f"Include mods-available/{name}.load\nIncludeOptional mods-available/{name}.conf\n"
            for name in (*modules, "socache_shmcb", *named)
        )
        file = self.folder / "apache.conf"
        file.write_text(
            f"ServerRoot /etc/apache2\nDefaultRuntimeDir {self.folder}\nServerName localhost\n"
            f"PidFile {self.folder}/apache.pid\nErrorLog {self.folder}/error.log\n"
            f"User www-data\nGroup www-data\n{loaded}\nListen 127.0.0.1:{self.port}\n{site}"
        )
        return ["apache2", "-f", str(file), "-D", "FOREGROUND"]

    def reload(self) -> None:
        """Have it read its configuration again, as ``apachectl graceful`` does."""
        self.process.send_signal(signal.SIGUSR1)


class Caddy(Proxy):
    """Caddy, with a certificate of this test's."""

    program = "caddy"
    sample = "Caddyfile"
    cuts_silence = False

    def _command(self) -> list[str]:
        keys = f"tls {self.folder}/fullchain.pem {self.folder}/privkey.pem"
        site = self._configured().replace(
            "recodex.example.org {",
            f"https://localhost:{self.port} {{\n\tbind 127.0.0.1\n\t{keys}\n",
        )
        (admin,) = free_ports(1)
        options = f"admin 127.0.0.1:{admin}\n\tauto_https disable_redirects"
        self._file = self.folder / "Caddyfile"
        self._file.write_text(f"{{\n\t{options}\n}}\n{site}")
        return ["caddy", "run", *self._options()]

    def _options(self) -> list[str]:
        return ["--config", str(self._file), "--adapter", "caddyfile"]

    def reload(self) -> None:
        """Have it read another configuration, since with the same it does nothing."""
        changed = self._file.read_text().replace("\tbind", "\theader X-Changed yes\n\tbind")
        self._file.write_text(changed)
        subprocess.run(["caddy", "reload", *self._options()], check=True, capture_output=True)


CONNECTING: dict[str, Any] = {"compression": None, "ping_interval": None, "proxy": None}
"""A client that says nothing by itself, and comes to a server on this machine."""


def socket_through(proxy: Proxy, after: str = "", **options: Any) -> connect:
    """A WebSocket that resumes, to be opened."""
    url = f"wss://localhost:{proxy.port}/ws?after={after}"
    return connect(url, ssl=proxy.tls, host="127.0.0.1", **CONNECTING, **options)


class NotOk(Exception):
    """An answer with another status than 200."""


async def lines(
    proxy: Proxy, path: str, headers: tuple[str, ...] = (), peer: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """The lines of an answer as they come.

    Raises:
        OSError, EOFError: the connection was cut.
        NotOk: the request was refused.
    """
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.port, ssl=proxy.tls, server_hostname="localhost", local_addr=(peer, 0)
    )
    try:
        request = (f"GET /ws{path} HTTP/1.1", "Host: localhost", "Connection: close", *headers)
        writer.write("\r\n".join((*request, "", "")).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if int(head.split()[1]) != 200:
            raise NotOk(head.split()[1].decode())
        rest = b""
        async for data in _body(reader, b"chunked" in head.lower()):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line.decode()
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, is_chunked: bool) -> AsyncIterator[bytes]:
    if not is_chunked:
        while data := await reader.read(65536):
            yield data
        return
    while size := int(await reader.readuntil(b"\n"), 16):
        yield await reader.readexactly(size)
        await reader.readuntil(b"\n")


class Follower:
    """A client that follows a channel through a proxy, and resumes whenever it is cut off.

    Attributes:
        got: the messages, without ids.
        times: when each came, by the monotonic clock.
        connected: how often it was told that it follows.
        end: why the channel ended; None before.
    """

    def __init__(self, proxy: Proxy, channel: str) -> None:
        self._proxy = proxy
        self._channel = channel
        self._after = ""
        self.got: list[dict[str, str]] = []
        self.times: list[float] = []
        self.connected = 0
        self.end: str | None = None

    async def by_socket(self) -> None:
        """Follow by WebSocket until the channel ends."""
        while self.end is None:
            with suppress(*CUT):
                async with socket_through(self._proxy, self._after) as client:
                    await client.send(self._channel)
                    async for text in client:
                        self._take(json.loads(text))

    async def by_events(self) -> None:
        """Follow by server-sent events until the channel ends."""
        while self.end is None:
            with suppress(*CUT):
                path = f"/events/{self._channel}?after={self._after}"
                async for line in lines(self._proxy, path):
                    field, _, value = line.partition(": ")
                    if field == "id":
                        self._after = value
                    elif field == "data":
                        self._take(json.loads(value))

    async def by_polls(self) -> None:
        """Follow by long polls until the channel ends."""
        while self.end is None:
            with suppress(*CUT):
                path = f"/channels/{self._channel}?wait=25&after={self._after}"
                answer = json.loads("".join([line async for line in lines(self._proxy, path)]))
                self.connected += 1
                for message in answer["messages"]:
                    self._take(message)
                self.end = answer["end"]

    def _take(self, message: dict[str, str]) -> None:
        self._after = message.pop("id", self._after)
        match message["command"]:
            case "SUBSCRIBED":
                assert message["recovered"] or not self.got, "it could not resume"
                self.connected += 1
            case "END":
                self.end = message["reason"]
            case "PING":
                pass
            case _:
                self.got.append(message)
                self.times.append(time.monotonic())
