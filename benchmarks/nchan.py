"""nginx with Nchan as a contestant."""

import os
import shutil
import subprocess
from pathlib import Path

from .contestants import Contestant, Ports, file_limit, over_http

NCHAN = "nchan"
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

# Whatever Nchan limits by default is set well above what the scenarios need.
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
    """Return nginx with Nchan: ids in the path, messages over HTTP, the client closes."""

    def command(ports: Ports, folder: Path) -> list[str]:
        path = folder / "nginx.conf"
        path.write_text(_nginx_config(ports, folder))
        return [_nginx() or "nginx", "-c", str(path), "-e", str(folder / "error.log")]

    def load_options(ports: Ports) -> list[str]:
        return [*over_http(ports), "--path", "/subscribe/%s", "--id-in-path", "--client-ends"]

    return Contestant(NCHAN, command, load_options)


def nchan_missing() -> str | None:
    """Return why Nchan cannot run on this machine, or None if it can."""
    if _nginx() is None or not NCHAN_MODULE.exists():
        return "nginx with Nchan is not installed (Debian: apt install libnginx-mod-nchan)"
    return None


def nchan_version() -> str:
    """Return nginx's version, or an empty text if Nchan cannot run."""
    program = _nginx()
    if program is None or nchan_missing():
        return ""
    result = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    return result.stderr.strip().rpartition("/")[2]


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
