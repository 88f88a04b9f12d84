"""Real proxies in front of several nodes: the shipped samples with other addresses and ports."""

import re
import signal
from pathlib import Path

from tests.integration.cluster import Cluster, Node
from tests.integration.proxies import SAMPLES, Nginx, Proxy
from tests.integration.support import free_ports


class NodesProxy(Proxy):
    """Brings browsers to all nodes, and the broker to the one that owns.

    Attributes:
        broker: where it listens for the broker.
    """

    sample = "haproxy.cfg"

    def __init__(self, folder: str, cluster: Cluster) -> None:
        super().__init__(folder, cluster.nodes[0])
        self.nodes = cluster.nodes
        (self._broker_port,) = free_ports(1)
        self.broker = f"tcp://127.0.0.1:{self._broker_port}"

    def _addressed(self, text: str) -> str:
        """A sample with these nodes in place of its two."""
        found = re.compile(r"^ *#? *server (?:monitor-1 )?10\.0\.0\.1[12]:.*\n", re.M)
        lines = [one for one in found.findall(text) if "10.0.0.11" in one]
        for line in lines:
            port = "4567" if ":4567" in line else "7894"
            named = [self._line(line, port, node) for node in self.nodes]
            text = text.replace(line, "".join(named))
        return re.sub(r"^.*server .*10\.0\.0\.12:.*\n", "", text, flags=re.M)

    def _line(self, line: str, port: str, node: Node) -> str:
        own = f"127.0.0.1:{node.address[1]}" if port == "4567" else node.broker.split("/")[-1]
        return line.replace("monitor-1", node.name).replace(f"10.0.0.11:{port}", own)


class Haproxy(NodesProxy):
    """HAProxy, which asks the nodes."""

    program = "haproxy"

    def _line(self, line: str, port: str, node: Node) -> str:
        # Here all nodes have one address, and so status ports of their own.
        status = node.status.rsplit(":")[-1]
        return super()._line(line, port, node).rstrip() + f" port {status}\n"

    def _command(self) -> list[str]:
        text = self._addressed(self._configured())
        text = text.replace(":443", f"127.0.0.1:{self.port}")
        text = text.replace("bind :7894", f"bind 127.0.0.1:{self._broker_port}")
        parts = [self.folder / name for name in ("fullchain.pem", "privkey.pem")]
        (self.folder / "recodex.pem").write_text("".join(part.read_text() for part in parts))
        file = self.folder / "haproxy.cfg"
        file.write_text(text)
        return ["haproxy", "-W", "-db", "-f", str(file)]

    def reload(self) -> None:
        """Let it read its configuration again, as ``systemctl reload`` does."""
        self.process.send_signal(signal.SIGUSR2)


class NodesNginx(NodesProxy, Nginx):
    """nginx, which takes the node that listens."""

    sample = "nginx.conf"
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here; None if it can."""
        has_module = Path(cls.module).exists()
        return super().missing() or (None if has_module else "nginx has no module for streams")

    def _configured(self) -> str:
        """The sample with the lines for several nodes instead of the one for one."""
        text = super()._configured().replace(f"    server {self.backend};\n", "")
        return re.sub(r"^( +)#(least_conn;|server 10)", r"\1\2", text, flags=re.M)

    def _write(self, text: str) -> None:
        stream = self._addressed((SAMPLES / "nginx-stream.conf").read_text())
        stream = stream.replace("listen 7894", f"listen 127.0.0.1:{self._broker_port}")
        super()._write(f"load_module {self.module};\n{self._addressed(text)}{stream}")
