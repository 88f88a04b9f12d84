"""Real proxies that run the shipped samples."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import trustme

from tests.integration.support import PATIENCE, ROOT, Monitor, free_ports

SAMPLES = ROOT / "install" / "proxy"
IDLE = 75
"""Seconds of silence after which the samples cut a connection, if they do."""

HOMES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "APACHE_RUN_DIR")
"""Environment variables that name the folders in which a proxy keeps its files."""


class Proxy:
    """A proxy in front of a monitor: the shipped sample with other paths, ports, certificates.

    Attributes:
        cuts_silence: whether it cuts a silent connection.
        idle: seconds after which it does, in place of the sample's.
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
        """The sample, adapted to this test."""
        text = (SAMPLES / self.sample).read_text()
        text = text.replace("127.0.0.1:4567", self.backend)
        return text.replace("/etc/ssl/recodex", str(self.folder))

    def _command(self) -> list[str]:
        """Write the configuration; returns the command that runs the proxy in the foreground."""
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
        deadline = time.monotonic() + PATIENCE
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it did not start: {(self.folder / 'output').read_text()}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def reload(self) -> None:
        """Let it read a changed configuration, as its administrator would."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop it; fails if it leaves a process behind."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
            deadline = time.monotonic() + PATIENCE
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
    """nginx, also with what the sample says about the main configuration."""

    program = "nginx"
    sample = "nginx.conf"

    def _command(self) -> list[str]:
        site = self._configured().replace("    listen [::]:443 ssl http2;\n", "")
        site = site.replace("listen 443 ", f"listen 127.0.0.1:{self.port} ")
        site = site.replace(f"{IDLE}s;", f"{self.idle}s;")
        main = "\n".join(re.findall(r"^#     (.+)$", site, re.MULTILINE))
        # So that a reload ends connections during the test.
        main = main.replace("worker_shutdown_timeout 10m", "worker_shutdown_timeout 1s")
        self._write(f"pid nginx.pid;\nerror_log error.log;\n{main}\nhttp {{\n{site}}}\n")
        return ["nginx", "-p", str(self.folder), "-c", "nginx.conf", "-g", "daemon off;"]

    def _write(self, text: str) -> None:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        own = [f"{kind}_temp_path {kind};" for kind in kinds]
        text = text.replace("http {", "http {\naccess_log off;\n" + "\n".join(own))
        (self.folder / "nginx.conf").write_text(text)

    def reload(self) -> None:
        """Let it read its configuration again; old processes end in a second."""
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
        """Let it read its configuration again, as ``apachectl graceful`` does."""
        self.process.send_signal(signal.SIGUSR1)


class Caddy(Proxy):
    """Caddy, with the test's own certificate."""

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
        """Let it read another configuration; with the same it would do nothing."""
        changed = self._file.read_text().replace("\tbind", "\theader X-Changed yes\n\tbind")
        self._file.write_text(changed)
        subprocess.run(["caddy", "reload", *self._options()], check=True, capture_output=True)
