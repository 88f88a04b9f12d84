"""Proxies that pass requests on with the prefix by which they are reached, and with all slashes."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from tests.integration.proxies import HOMES
from tests.integration.support import PATIENCE, Monitor, free_ports

NGINX_HEAD = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
"""
"""The beginning of nginx's configuration, up to its servers, as a template."""

NGINX = (
    NGINX_HEAD
    + """  upstream m {{ server {monitor}; }}
  server {{
    listen 127.0.0.1:{port};
    location /ws {{
      proxy_pass http://m;
      {upgrade}
    }}
  }}
}}
"""
)
APACHE = """
ServerRoot /etc/apache2
DefaultRuntimeDir {folder}
ServerName localhost
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
User www-data
Group www-data
Include mods-available/mpm_event.load
Include mods-available/authz_core.load
Include mods-available/proxy.load
Include mods-available/proxy_http.load
Listen 127.0.0.1:{port}
MergeSlashes Off
ProxyPass "/ws" "http://{monitor}/ws" {upgrade}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 75s
frontend browsers
    bind 127.0.0.1:{port}
    {upgrade}
    use_backend monitor if {{ path_beg /ws }}
backend monitor
    server monitor {monitor}
"""
CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    handle /ws* {{
        reverse_proxy {monitor} {{
            header_up X-Tried yes
            {upgrade}
        }}
    }}
}}
"""
_UPGRADE = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; {}".format(
    'proxy_set_header Connection "upgrade";'
)

KINDS: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "nginx": (("nginx", "-p", "{folder}", "-e", "stderr", "-c", "{file}"), NGINX, _UPGRADE, ""),
    "apache2": (("apache2", "-f", "{file}", "-D", "FOREGROUND"), APACHE, "upgrade=websocket", ""),
    "haproxy": (
        ("haproxy", "-q", "-db", "-f", "{file}"),
        HAPROXY,
        "",
        "http-request del-header upgrade",
    ),
    "caddy": (
        ("caddy", "run", "--config", "{file}", "--adapter", "caddyfile"),
        CADDY,
        "",
        "header_up -Upgrade",
    ),
}
"""By program: its command, its configuration, and what makes it pass WebSocket on, or not."""


@contextmanager
def prefixing(program: str, monitor: Monitor, *, passes_upgrade: bool) -> Iterator[str]:
    """The URL ``http://HOST:PORT/ws`` of a proxy in front of a monitor, during the block."""
    command, config, with_upgrade, without = KINDS[program]
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "config"
        values = {"folder": folder, "port": port, "monitor": "{}:{}".format(*monitor.address)}
        upgrade = with_upgrade if passes_upgrade else without
        file.write_text(config.format(upgrade=upgrade, **values))
        with (Path(folder) / "output").open("w+") as output:
            process = subprocess.Popen(
                [part.format(file=file, folder=folder) for part in command],
                env={**os.environ, **dict.fromkeys(HOMES, folder)},
                stdout=output,
                stderr=output,
            )
            try:
                wait_for_port(process, port, Path(folder) / "output")
                yield f"http://127.0.0.1:{port}/ws"
            finally:
                process.terminate()
                process.wait(PATIENCE)


def missing() -> str | None:
    """Which of the proxies is not installed; None if all are."""
    absent = [program for program in KINDS if which(program) is None]
    return f"{', '.join(absent)} not installed" if absent else None


def wait_for_port(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    """Wait until a process listens; ``output`` has what it says if it does not."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"it did not start: {output.read_text()}")
        time.sleep(0.02)
