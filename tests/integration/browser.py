"""Chromium, and what stands between it and a monitor."""

import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.integration.support import Broker, Monitor, free_ports

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")
NGINX = shutil.which("nginx")


def chromium_missing() -> str | None:
    """Why nothing can be tested in Chromium here; None if it can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return None if CHROMIUM else "chromium is not installed"


WATCHED = """(() => {
  const held = (window.held = { timers: new Set(), sockets: [], signals: [] });
  const { setTimeout, clearTimeout, fetch, WebSocket, addEventListener } = window;
  window.setTimeout = (action, time, ...values) => {
    const timer = setTimeout(() => (held.timers.delete(timer), action(...values)), time);
    held.timers.add(timer);
    return timer;
  };
  window.clearTimeout = (timer) => (held.timers.delete(timer), clearTimeout(timer));
  window.fetch = (url, options) => (held.signals.push(options.signal), fetch(url, options));
  window.addEventListener = (type, action, options) => {
    held.signals.push(options.signal);
    addEventListener.call(window, type, action, options);
  };
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      held.sockets.push(this);
    }
  };
})()"""
"""Makes a page remember its timers, sockets and what ends its requests and listeners."""

FOLLOW = """async ([url, channel]) => {
  const { followJob } = await import("/progress.js");
  const got = (window.got = { messages: [], counts: null, states: [], ends: [], restarts: 0 });
  window.stop = followJob({
    url,
    channel,
    onMessage({ command, task_id, task_state }, counts) {
      got.messages.push([command, task_id, task_state].filter(Boolean).join(" "));
      got.counts = counts;
    },
    onState({ state, transport, restarted }) {
      got.states.push(`${state} ${transport}`);
      if (restarted) got.restarts++;
    },
    onEnd({ reason }) {
      got.ends.push(reason);
    },
  });
}"""


@contextmanager
def open_page(**options: Any) -> Iterator["Page"]:
    """A page of a Chromium of its own, which runs meanwhile; options as for ``new_context``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        try:
            page = chromium.new_context(**options).new_page()
            page.set_default_timeout(15_000)
            yield page
        finally:
            chromium.close()


def until(holds: Callable[[], object], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait until something holds, and do something again and again meanwhile."""
    deadline = time.monotonic() + 15
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError("did not come to hold in time")
        meanwhile()
        time.sleep(0.02)


class Follower:
    """A job that ``progress.js`` follows in a page, and what it has told of it."""

    def __init__(self, page: "Page", monitor: Monitor, url: str, channel: str) -> None:
        """Follow a channel.

        Args:
            page: where to.
            monitor: serves the module.
            url: of the monitor to follow, as a web application has it.
            channel: the channel's id.
        """
        self._page = page
        if page.url == "about:blank":
            page.goto(http_url(monitor))
        page.evaluate(FOLLOW, [url, channel])

    def __getattr__(self, name: str) -> Any:
        """A part of what it has told: messages, counts, states, ends or restarts."""
        return self._page.evaluate(f"got.{name}")

    def has(self, *messages: str) -> None:
        """Wait until it has so many messages, and check that they are these."""
        try:
            until(lambda: len(self.messages) >= len(messages))
        except AssertionError:
            raise AssertionError(f"{self.messages} after {self.states}") from None
        if self.messages != list(messages):
            raise AssertionError(f"{self.messages} is not {messages}")

    def was(self, state: str) -> None:
        """Wait until its last state is this one, as ``STATE TRANSPORT``."""
        try:
            until(lambda: self.states[-1:] == [state])
        except AssertionError:
            raise AssertionError(f"{self.states} does not end with {state}") from None

    def ended(self, reason: str) -> None:
        """Wait until it has ended, and check why."""
        until(lambda: self.ends)
        if self.ends != [reason]:
            raise AssertionError(f"{self.ends} is not {reason}")

    def later(self, seconds: float) -> None:
        """Let the page's time go on by so much at once; its clock has to be installed."""
        self._page.clock.fast_forward(round(seconds * 1000))

    def comes_to(self, state: str, step: float = 30) -> None:
        """Let so many seconds pass again and again until its last state is this one."""
        until(lambda: self.states[-1] == state, meanwhile=lambda: self.later(step))


def http_url(monitor: Monitor, path: str = "/") -> str:
    """Where a monitor's pages are."""
    return f"http://127.0.0.1:{monitor.address[1]}{path}"


def say(broker: Broker, channel: str, *messages: str) -> None:
    """Send messages to a channel, each given as its frames with spaces in between."""
    for message in messages:
        broker.send(channel.encode(), *message.encode().split())


class Relay:
    """A cable between browsers and a monitor."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._links: list[tuple[socket.socket, socket.socket]] = []
        self._dead: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", free_ports(1)[0]))
        self.port = self._listener.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        """How many there were so far."""
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
            if source not in self._dead:
                target.shutdown(socket.SHUT_WR)

    def lose(self) -> None:
        """Pass nothing on any more for those who are connected, as if their packets were lost."""
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
        """Take it away."""
        self._listener.close()
        self.cut()


@contextmanager
def relaying(monitor: Monitor) -> Iterator[Relay]:
    """A relay to a monitor meanwhile."""
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
"""A network that lets no WebSocket through."""


class Proxy:
    """An nginx that refuses WebSocket, before a monitor that is at ``/ws`` there."""

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
        """How many requests for WebSocket there were."""
        return (self._folder / "access.log").read_text().count("websocket ")


@contextmanager
def proxying(monitor: Monitor) -> Iterator[Proxy]:
    """A proxy before a monitor meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        proxy = Proxy(folder, monitor)
        try:
            yield proxy
        finally:
            proxy.process.terminate()
            proxy.process.wait()


class Original:
    """The original monitor as browsers see it: no ids, and all from the start to everybody."""

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
        """End all connections, without a word."""
        for client in self.clients:
            with suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)
        self.clients.clear()

    def close(self) -> None:
        """End."""
        self.clients.clear()
        self._server.shutdown()


@contextmanager
def original_monitor() -> Iterator[Original]:
    """A stand-in of the original monitor meanwhile."""
    original = Original()
    try:
        yield original
    finally:
        original.close()
