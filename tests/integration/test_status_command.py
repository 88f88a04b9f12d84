"""``recodex-monitor status`` with real monitors, and with what is none."""

import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.tools.status_client import CannotAsk, Target, ask
from tests.integration.status import TOKEN, get, monitored, printed
from tests.integration.support import (
    COMMAND,
    PATIENCE,
    connected_broker,
    free_ports,
    running_monitor,
)


class CommandTests(SynchronousTestCase):
    """The command and a monitor."""

    def test_watch(self) -> None:
        """It is shown live, with what changes, until Ctrl-C."""
        with monitored() as (monitor, _):
            command = [*COMMAND, "status", "--watch", "-c", str(monitor.config)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                try:
                    self.assertTrue(any("! never-connected: " in line for line in process.stdout))
                    with connected_broker(monitor) as broker:
                        broker.send(b"job", b"STARTED")
                        self.assertTrue(any(line == "jobs: 1 running\n" for line in process.stdout))
                finally:
                    process.send_signal(signal.SIGINT)
                self.assertEqual(process.wait(PATIENCE), 0)

    def fails(self, *arguments: str) -> str:
        """What the command says where it gets no answer."""
        command = [*COMMAND, "status", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        return done.stderr

    def test_unix_socket(self) -> None:
        """It can listen on a Unix socket, which the command uses; its stop removes the file."""
        with running_monitor() as monitor:
            monitor.stop()
            file = monitor.folder / "status"
            browsers, broker = free_ports(2)
            monitor.configure(
                websocket_uri=["127.0.0.1", browsers],
                zeromq_uri=["127.0.0.1", broker],
                logger={"file": str(monitor.log)},
                status_uri=f"unix:{file}",
            )
            monitor.start()
            self.assertIn("version", printed(monitor))
            self.assertEqual(monitor.stop(), 0)
            self.assertFalse(file.exists())

    def test_token(self) -> None:
        """With a token, nothing is shown without it; the command reads it from the settings."""
        with monitored(status_token=TOKEN) as (monitor, port):
            self.assertEqual(get(port, "/api/status")[0], 401)
            self.assertNotIn(TOKEN, printed(monitor))
            url = ("--url", f"http://127.0.0.1:{port}")
            self.assertIn("asks for a token", self.fails(*url))
            error = self.fails(*url, "--token", "wrong")
            self.assertIn("refuses the token of --token: it is wrong", error)
            right = [*COMMAND, "status", *url, "--token", TOKEN]
            subprocess.run(right, capture_output=True, timeout=PATIENCE, check=True)

    def test_without(self) -> None:
        """Without status_uri the command says that there is no status listener."""
        with running_monitor() as monitor:
            error = self.fails("-c", str(monitor.config))
            self.assertIn(f"status_uri is not configured in {monitor.config}", error)

    def test_down(self) -> None:
        """While the monitor is down, its address and settings are named, and what to look at."""
        with monitored() as (monitor, port):
            config = str(monitor.config)
            self.assertEqual(monitor.stop(), 0)
            error = self.fails("-c", config)
        told = f"nothing listens at http://127.0.0.1:{port} (status_uri in {config})"
        self.assertIn(told, error)
        self.assertIn("systemctl status recodex-monitor", error)

    def test_other_ports(self) -> None:
        """The port of browsers, and TLS where there is none, are told as such."""
        with monitored() as (monitor, port):
            host, number = monitor.address
            error = self.fails("--url", f"http://{host}:{number}")
            self.assertIn("is not the status page of a monitor (it answers 404)", error)
            error = self.fails("--url", f"https://127.0.0.1:{port}")
            self.assertIn("does not speak TLS", error)

    def test_other_host(self) -> None:
        """A host name that the status page does not know is named, with the setting for it."""
        with monitored() as (_, port):
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            connection.connect()
            connection.host = "monitor.example"
            target = Target(connection, f"http://monitor.example:{port}", "--url")
            error = self.assertRaises(CannotAsk, ask, target, "/api/status")
        self.assertIn(
            f"answers 421: the status page is not known as 'monitor.example:{port}'", str(error)
        )
        self.assertIn("status_hosts", str(error))


class OtherServerTests(SynchronousTestCase):
    """Servers that are no monitor, on real sockets."""

    def told(self, serve: Callable[[socket.socket], Any], *, timeout: float = 10) -> str:
        """The error where a server does this with its connection."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]

            def accept() -> None:
                client, _ = server.accept()
                with client:
                    serve(client)

            thread = threading.Thread(target=accept)
            thread.start()
            connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
            target = Target(connection, f"http://127.0.0.1:{port}", "--url")
            error = self.assertRaises(CannotAsk, ask, target, "/api/status")
            thread.join()
        return str(error)

    def test_silent(self) -> None:
        """A server that does not answer is waited for no longer than the timeout."""
        told = self.told(lambda client: client.recv(9999) and client.recv(1), timeout=0.2)
        self.assertIn("no answer from http://127.0.0.1", told)

    def test_closing(self) -> None:
        """A server that closes the connection, or resets it."""
        self.assertIn(
            "closed the connection without an answer", self.told(lambda one: one.recv(9999))
        )
        linger = b"\1\0\0\0\0\0\0\0"

        def reset(client: socket.socket) -> None:
            client.recv(9999)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        self.assertIn("closed the connection without an answer", self.told(reset))

    def test_tls(self) -> None:
        """A server that speaks TLS and gets plain HTTP."""

        def serve(client: socket.socket) -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                context.wrap_socket(client, server_side=True)
            except OSError:
                client.close()

        self.assertIn("https://", self.told(serve))

    def test_cut(self) -> None:
        """An answer that ends too early."""
        text = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"

        def serve(client: socket.socket) -> None:
            client.recv(9999)
            client.sendall(text)

        self.assertIn("is not the status page", self.told(serve))


class SocketFileTests(SynchronousTestCase):
    """Unix sockets without a monitor."""

    def test_each(self) -> None:
        """One that is missing, one that nobody listens on, and a file that is no socket."""
        folder = Path(self.enterContext(TemporaryDirectory()))
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / "left"))
        (folder / "file").write_text("")
        for name, text in (("missing", "no socket"), ("left", "nothing"), ("file", "nothing")):
            path = folder / name
            config = folder / f"{name}.yml"
            config.write_text(f"status_uri: unix:{path}\n")
            command = [*COMMAND, "status", "-c", str(config)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(text, done.stderr)
            self.assertIn(str(path), done.stderr)
