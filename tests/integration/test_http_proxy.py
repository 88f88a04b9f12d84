"""Plain HTTP and WebSocket through an nginx with its default buffering."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.http import Address, Client, get
from tests.integration.prefixed import NGINX_HEAD
from tests.integration.support import (
    PATIENCE,
    Broker,
    Monitor,
    connected_broker,
    free_ports,
    running_monitor,
)
from tests.support.frames import HANDSHAKE
from tests.support.http import request

NGINX = (
    NGINX_HEAD
    + """  gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
  upstream monitor {{ server 127.0.0.1:{monitor}; keepalive 4; }}
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{monitor}; }}
    location /kept/ {{
      proxy_pass http://monitor/;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""
)


@contextmanager
def running_nginx(monitor: Monitor) -> Iterator[Address]:
    """The address of an nginx in front of the monitor, with its default buffering."""
    (port,) = free_ports(1)
    folder = monitor.folder / "nginx"
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(monitor=monitor.address[1], port=port))
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(config), "-e", "stderr"])
    try:
        deadline = time.monotonic() + PATIENCE
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None, "nginx did not start"
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(PATIENCE)


class ProxyTests(SynchronousTestCase):
    """Through an nginx that buffers and compresses what it may."""

    if shutil.which("nginx") is None:
        skip = "nginx is not installed"

    def check_events(self, address: Address, broker: Broker, path: str) -> None:
        """Check that each event arrives before there is a next one, and so does the end."""
        client = Client(address)
        client.send(request(path, "Accept-Encoding: gzip"))
        client.until(b"SUBSCRIBED")
        for number in range(20):
            broker.send(path[-1:].encode(), b"TASK", b"n%d" % number)
            client.until(b'"n%d"' % number)
        broker.send(path[-1:].encode(), b"FINISHED")
        client.until(b"END")
        client.close()

    def test_events_arrive_at_once(self) -> None:
        """Events arrive at once, whichever version of HTTP nginx uses."""
        with (
            running_monitor() as monitor,
            connected_broker(monitor) as broker,
            running_nginx(monitor) as nginx,
        ):
            self.check_events(nginx, broker, "/events/a")
            self.check_events(nginx, broker, "/kept/events/b")

    def test_connections_are_not_used_again(self) -> None:
        """A handshake after plain requests succeeds through a proxy that reuses connections."""
        with running_monitor() as monitor, running_nginx(monitor) as nginx:
            for _ in range(3):
                for _ in range(4):
                    self.assertEqual(get(nginx, "/kept/channels/x").status, 200)
                client = Client(nginx)
                client.send(HANDSHAKE.replace(b"/ws", b"/kept/ws"))
                self.assertIn(b" 101 ", client.until(b"\r\n\r\n"))
                client.close()

    def test_pages(self) -> None:
        """Pages come through unchanged, also below a path."""
        with running_monitor() as monitor, running_nginx(monitor) as nginx:
            for path in ("/", "/watch/job", "/progress.js"):
                straight = get(monitor.address, path).body
                for prefix in ("", "/kept"):
                    self.assertEqual(get(nginx, prefix + path).body, straight)

    def test_compressed_pages(self) -> None:
        """A page that the proxy has compressed, and whose tag it has changed, is revalidated."""
        with running_monitor() as monitor, running_nginx(monitor) as nginx:
            for path in ("/", "/watch/job", "/progress.js"):
                found = get(nginx, path, "Accept-Encoding: gzip")
                self.assertEqual(found.headers["content-encoding"], "gzip")
                tag = found.headers["etag"]
                self.assertTrue(tag.startswith("W/"))
                again = get(nginx, path, "Accept-Encoding: gzip", f"If-None-Match: {tag}")
                self.assertEqual((again.status, again.body), (304, b""))
