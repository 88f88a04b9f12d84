"""Relays and proxies between a browser and a monitor, and a stand-in for the original monitor."""

import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from twisted.trial.unittest import SkipTest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.integration.browser import until
from tests.integration.support import Monitor, free_ports

NGINX = shutil.which("nginx")


def needs_nginx() -> None:
    """Skip a test where there is no nginx."""
    if not NGINX:
        raise SkipTest("nginx is not installed")


class Relay:
    """A TCP relay between browsers and a monitor, which can be cut.

    Attributes:
        passed: how often it has passed something on.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._links: list[tuple[socket.socket, socket.socket]] = []
        self._dead: set[socket.socket] = set()
        self.passed = 0
        self._listener = socket.create_server(("127.0.0.1", free_ports(1)[0]))
        self.port = self._listener.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        """The number of connections so far."""
        return len(self._links)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                try:
                    monitor = socket.create_connection(self._target)
                except OSError:
                    browser.close()
                    continue
                self._links.append((browser, monitor))
                for ends in ((browser, monitor), (monitor, browser)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source not in self._dead:
                    target.sendall(data)
                    self.passed += 1
            if source not in self._dead:
                target.shutdown(socket.SHUT_WR)

    def lose(self) -> None:
        """Stop passing data on the open connections, as if their packets were lost."""
        for link in self._links:
            self._dead.update(link)

    def bury(self) -> None:
        """Reset the connections that were lost."""
        self._reset(self._dead)

    def cut(self) -> None:
        """Reset all connections."""
        self._reset(end for link in self._links for end in link)

    @staticmethod
    def _reset(ends: Iterable[socket.socket]) -> None:
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Stop it."""
        self._listener.close()
        self.cut()


@contextmanager
def relaying(monitor: Monitor) -> Iterator[Relay]:
    """A relay to a monitor, during the block."""
    relay = Relay(monitor.address)
    try:
        yield relay
    finally:
        relay.close()


PROXY = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  log_format asked "$http_upgrade $uri $status";
  access_log {folder}/access.log asked;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /ws {{
      if ($http_upgrade) {{ return 403; }}
      rewrite ^/ws/?(.*)$ /$1 break;
      proxy_pass http://127.0.0.1:{monitor};
      proxy_http_version 1.1;
    }}
  }}
}}
"""
"""nginx as a network that blocks WebSocket."""


class Proxy:
    """An nginx that refuses WebSocket, in front of a monitor at ``/ws``."""

    def __init__(self, folder: str, monitor: Monitor) -> None:
        (port,) = free_ports(1)
        self._folder = Path(folder)
        config = self._folder / "nginx.conf"
        config.write_text(PROXY.format(folder=folder, port=port, monitor=monitor.address[1]))
        self.url = f"ws://127.0.0.1:{port}/ws"
        self.http = f"http://127.0.0.1:{port}/ws"
        self.process = subprocess.Popen([str(NGINX), "-c", str(config)], stderr=subprocess.DEVNULL)
        until(lambda: not socket.socket().connect_ex(("127.0.0.1", port)))

    @property
    def upgrades(self) -> int:
        """The number of WebSocket handshakes so far."""
        return (self._folder / "access.log").read_text().count("websocket ")


@contextmanager
def proxying(monitor: Monitor) -> Iterator[Proxy]:
    """A proxy in front of a monitor, during the block."""
    with tempfile.TemporaryDirectory() as folder:
        proxy = Proxy(folder, monitor)
        try:
            yield proxy
        finally:
            proxy.process.terminate()
            proxy.process.wait()


class Original:
    """A stand-in for the original monitor: no ids; every client gets everything from the start."""

    def __init__(self) -> None:
        self.history: list[str] = []
        self.clients: list[ServerConnection] = []
        self._server = serve(self._follow, "127.0.0.1", free_ports(1)[0])
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/ws"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _follow(self, client: ServerConnection) -> None:
        client.recv()
        self.clients.append(client)
        sent = 0
        with suppress(ConnectionClosed):
            while client in self.clients:
                for text in self.history[sent:]:
                    client.send(text)
                    sent += 1
                    if "FINISHED" in text:
                        return
                time.sleep(0.01)

    def cut(self) -> None:
        """End all connections without a close frame."""
        for client in self.clients:
            with suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)
        self.clients.clear()

    def close(self) -> None:
        """Stop."""
        self.clients.clear()
        self._server.shutdown()


@contextmanager
def original_monitor() -> Iterator[Original]:
    """A stand-in for the original monitor, during the block."""
    original = Original()
    try:
        yield original
    finally:
        original.close()
