"""The PROXY protocol with a real HAProxy, and protocols on the wrong port with real clients."""

import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import yaml
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration.browser import until
from tests.integration.http import exchange
from tests.integration.support import PATIENCE, Broker, Monitor, free_ports, running_monitor
from tests.support.certificates import Authority
from tests.support.frames import HANDSHAKE, TEXT, frame
from tests.support.http import request

CONFIG = """
global
    stats socket {folder}/stats level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend browsers
    bind 127.0.0.1:{port}
    default_backend monitor
backend monitor
    server monitor {address} {options}
"""


@contextmanager
def balancer(monitor: Monitor, options: str) -> Iterator[tuple[str, int]]:
    """The address of an HAProxy in front of a monitor, which runs during the block."""
    if not which("haproxy"):
        raise SkipTest("haproxy is not installed")
    (port,) = free_ports(1)
    address = "{}:{}".format(*monitor.address)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "haproxy.cfg"
        file.write_text(CONFIG.format(folder=folder, port=port, address=address, options=options))
        process = subprocess.Popen(["haproxy", "-q", "-db", "-f", str(file)])
        try:
            wait_for(lambda: listens(port))
            yield "127.0.0.1", port
        finally:
            process.terminate()
            process.wait(PATIENCE)


def listens(port: int) -> bool:
    """Whether somebody listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Any) -> None:
    """Wait for a condition, as long as tests do."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def from_address(host: str, address: tuple[str, int]) -> socket.socket:
    """A connection from this loopback address."""
    return socket.create_connection(address, 10, source_address=(host, 0))


class HaproxyTests(SynchronousTestCase):
    """HAProxy that works on TCP and tells its clients' addresses."""

    def test_versions(self) -> None:
        """With both versions, and its health checks, clients have their own addresses."""
        for options in ("send-proxy", "send-proxy-v2 check inter 100ms"):
            limits = {"max_connections_per_address": 1, "trusted_proxies": ["127.0.0.1/32"]}
            settings: dict[str, Any] = {"websocket_proxy_protocol": True, "limits": limits}
            with running_monitor(**settings) as monitor, balancer(monitor, options) as address:
                with from_address("127.0.0.7", address) as first:
                    first.sendall(HANDSHAKE + frame(TEXT, b"job"))
                    self.assertTrue(first.recv(99).startswith(b"HTTP/1.1 101 "))
                    monitor.require_logged("127.0.0.7 follows 'job'")
                    with from_address("127.0.0.7", address) as second:
                        second.sendall(request("/channels/job"))
                        self.assertTrue(second.recv(99).startswith(b"HTTP/1.1 503 "))
                    with from_address("127.0.0.8", address) as other:
                        other.sendall(request("/channels/job"))
                        self.assertTrue(other.recv(99).startswith(b"HTTP/1.1 200 "))
                self.assertNotIn("PROXY", monitor.logged())

    def test_with_tls(self) -> None:
        """The header comes before TLS."""
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(Path(folder))
            settings: dict[str, Any] = {
                "websocket_tls": authority.settings,
                "websocket_proxy_protocol": True,
            }
            with (
                running_monitor(**settings) as monitor,
                balancer(monitor, "send-proxy-v2") as address,
                from_address("127.0.0.7", address) as plain,
                authority.client().wrap_socket(plain, server_hostname="localhost") as client,
            ):
                client.sendall(HANDSHAKE + frame(TEXT, b"job"))
                self.assertTrue(client.recv(99).startswith(b"HTTP/1.1 101 "))
                wait_for(lambda: "127.0.0.7 follows 'job'" in monitor.logged())

    def test_settings_that_do_not_fit(self) -> None:
        """A header without the setting, and the setting without it, are answered and logged."""
        with running_monitor() as monitor, balancer(monitor, "send-proxy") as address:
            self.assertIn(b"websocket_proxy_protocol", exchange(address, request("/")))
            monitor.require_logged("PROXY protocol: 127.0.0.1 sends")
        with running_monitor(websocket_proxy_protocol=True) as monitor:
            self.assertIn(b"send-proxy", exchange(monitor.address, request("/")))
            monitor.require_logged("no PROXY protocol: 127.0.0.1")


class WrongPortTests(SynchronousTestCase):
    """Real clients that speak TLS where there is none, and the other way round."""

    def test_tls(self) -> None:
        """TLS on the plain port is refused at once, and the log says what to set."""
        with running_monitor() as monitor:
            with socket.create_connection(monitor.address, 10) as plain:
                context = ssl.create_default_context()
                with self.assertRaises(ssl.SSLError) as failed:
                    context.wrap_socket(plain, server_hostname="localhost")
            self.assertIn(
                "alert handshake failure", str(failed.exception).lower().replace("_", " ")
            )
            monitor.require_logged("set websocket_tls")

    def test_broker(self) -> None:
        """A broker that is configured with the port for browsers is told of in the log."""
        with running_monitor() as monitor:
            broker = Broker(f"tcp://127.0.0.1:{monitor.address[1]}")
            try:
                until(lambda: "ZeroMQ on the public port: 127.0.0.1" in monitor.logged())
            finally:
                broker.close()
            monitor.require_logged("zeromq_uri")

    def test_old_and_new(self) -> None:
        """Clients of HTTP/2, such as curl, and of HTTP/0.9 are told which versions are spoken."""
        with running_monitor() as monitor:
            url = f"http://127.0.0.1:{monitor.address[1]}/"
            new = subprocess.run(
                ["curl", "-sv", "--http2-prior-knowledge", "--max-time", "20", url],
                capture_output=True,
                check=False,
            )
            # curl ends because of the answer, and not because it has waited (28).
            self.assertNotIn(new.returncode, {0, 28}, new.stderr)
            monitor.require_logged("HTTP/2 without TLS: 127.0.0.1")
            self.assertIn(b"must be HTTP/1.1 or HTTP/1.0", exchange(monitor.address, b"GET /\r\n"))

    def test_large_hello(self) -> None:
        """No reset takes the alert's place, however much of a handshake comes at once."""
        hello = b"\x16\x03\x01\x3f\xff\x01" + bytes(16383)
        with running_monitor(status_uri=["127.0.0.1", free_ports(1)[0]]) as monitor:
            settings = yaml.safe_load(monitor.config.read_text())
            for address in (monitor.address, tuple(settings["status_uri"])):
                for _ in range(20):
                    self.assertEqual(exchange(address, hello)[5:], b"\x02\x28")
            monitor.require_logged("TLS on the plain port")
            monitor.require_logged("TLS on the status port")

    def test_few_bytes(self) -> None:
        """Plain text on the TLS port is answered at once, if only a byte of it has come."""
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(Path(folder))
            with running_monitor(
                websocket_tls=authority.settings, limits={"handshake_timeout": 600}
            ) as monitor:
                for data in (b"G", b"1", b"\n", b"\0", b"PRO"):
                    self.assertIn(b"wss://", exchange(monitor.address, data))
                monitor.require_logged("no TLS on the TLS port")

    def test_http(self) -> None:
        """Plain HTTP on the TLS port gets a text at once, and a PROXY header too."""
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(Path(folder))
            with running_monitor(websocket_tls=authority.settings) as monitor:
                self.assertIn(b"Use https://", exchange(monitor.address, request("/")))
                header = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 4567\r\n"
                self.assertIn(b"trusted_proxies", exchange(monitor.address, header))
                monitor.require_logged("plain HTTP on the TLS port")
