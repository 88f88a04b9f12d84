"""``recodex-monitor doctor`` as a process, and proxies that are configured wrong in one way."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.integration.prefixed import NGINX_HEAD, wait_for_port
from tests.integration.support import COMMAND, PATIENCE, Monitor, free_ports
from tests.support.certificates import Authority

NGINX = (
    NGINX_HEAD
    + """  server {{
    listen 127.0.0.1:{port} {tls};
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location {location} {{
      proxy_pass {backend};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection {connection};
      proxy_set_header Host {host};
      {address}
      {more}
    }}
    {below}
  }}
}}
"""
)
HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 75s
    timeout server {timeout}
    timeout tunnel {timeout}
frontend browsers
    bind 127.0.0.1:{port} {tls}
    option forwardfor
    {more}
    use_backend monitor if {{ path_beg {location} }}
backend monitor
    server monitor {backend}
"""
RIGHT = {
    "tls": "",
    "location": "/ws",
    "connection": '"upgrade"',
    "host": "$http_host",
    "address": "proxy_set_header X-Forwarded-For $remote_addr;",
    "timeout": "75s",
    "more": "",
    "below": "",
}
"""What stands in a configuration where nothing is wrong."""


class Proxy(NamedTuple):
    """A proxy that runs.

    Attributes:
        url: of the monitor behind it.
        folder: with its certificate.
    """

    url: str
    folder: Path


@contextmanager
def proxy(program: str, monitor: Monitor, path: str = "/ws", **wrong: str) -> Iterator[Proxy]:
    """A proxy in front of a monitor during the block, right but for what is given."""
    (port,) = free_ports(1)
    backend = "{}:{}".format(*monitor.address)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not (folder / "cert.pem").exists():
            Authority(folder)
        pem = (folder / "cert.pem").read_text() + (folder / "key.pem").read_text()
        (folder / "both.pem").write_text(pem)
        file = folder / "config"
        is_nginx = program == "nginx"
        known = RIGHT | {"backend": f"http://{backend}" if is_nginx else backend}
        values = {**known, "port": port, "folder": folder, **wrong}
        for key in ("tls", "below"):
            values[key] = str(values[key]).format(folder=folder, backend=values["backend"])
        file.write_text((NGINX if is_nginx else HAPROXY).format(**values))
        nginx = ("nginx", "-p", name, "-e", "stderr", "-c", str(file))
        command = nginx if is_nginx else ("haproxy", "-q", "-db", "-f", str(file))
        with (folder / "output").open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
            try:
                wait_for_port(process, port, folder / "output")
                scheme, host = ("wss", "localhost") if values["tls"] else ("ws", "127.0.0.1")
                yield Proxy(f"{scheme}://{host}:{port}{path}", folder)
            finally:
                process.terminate()
                process.wait(PATIENCE)


class Report:
    """What the doctor has found.

    Attributes:
        code: its exit code.
        checks: all findings.
    """

    def __init__(self, code: int, told: Mapping[str, Any]) -> None:
        self.code = code
        self.checks: list[dict[str, str]] = told["checks"]
        for one in self.checks:
            # Other tests run at the same time, so messages may be late without a fault.
            if one["level"] == "warn" and one["remedy"].startswith("Is the machine"):
                one["level"] = "ok"

    def level(self, check: str) -> str:
        """The worst level of a check; empty if it has found nothing."""
        levels = {one["level"] for one in self.checks if one["check"] == check}
        return next((one for one in ("FAIL", "warn", "ok") if one in levels), "")

    def failing(self) -> set[str]:
        """The checks that fail."""
        return {one["check"] for one in self.checks if one["level"] == "FAIL"}

    def seen(self, check: str) -> str:
        """What a check has seen, and what to do."""
        return " ".join(
            f"{one['seen']} {one['remedy']}" for one in self.checks if one["check"] == check
        )


def examined(
    monitor: Monitor, *options: str, idle: float = 0, environ: Mapping[str, str] | None = None
) -> Report:
    """What the doctor finds with a monitor."""
    command = [*COMMAND, "doctor", "-c", str(monitor.config), "--json", f"--idle={idle}", *options]
    environment = {**os.environ, "SSL_CERT_FILE": os.devnull, **(environ or {})}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=2 * PATIENCE, env=environment, check=False
    )
    assert done.stdout, done.stderr
    return Report(done.returncode, json.loads(done.stdout))
