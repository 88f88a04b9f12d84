"""TLS with real clients: OpenSSL's command, a WebSocket library, a browser."""

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websockets
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browser import chromium_missing, open_page, say, until
from tests.integration.support import PATIENCE, Monitor, connected_broker, running_monitor
from tests.support.certificates import Authority
from tests.support.frames import CLOSE, HANDSHAKE, TEXT, frame


@contextmanager
def secure_monitor(**settings: Any) -> Iterator[tuple[Monitor, Authority]]:
    """A monitor with TLS, during the block, and the authority of its certificate."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        with running_monitor(websocket_tls=authority.settings, **settings) as monitor:
            yield monitor, authority


def asked(monitor: Monitor, authority: Authority, *options: str) -> str:
    """The output of ``openssl s_client`` for a connection that verifies the server."""
    command = ["openssl", "s_client", "-connect", "{}:{}".format(*monitor.address)]
    verify = ["-CAfile", str(authority.root), "-verify_return_error", "-servername", "localhost"]
    run = subprocess.run(
        [*command, *verify, *options],
        input=b"R\n",
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    return (run.stdout + run.stderr).decode()


def shown(monitor: Monitor, authority: Authority) -> str:
    """The certificate that the server shows, in PEM."""
    with connected(monitor, authority) as client:
        certificate = client.getpeercert(True)
        assert certificate is not None
        return ssl.DER_cert_to_PEM_cert(certificate)


@contextmanager
def connected(monitor: Monitor, authority: Authority, buffer: int = 0) -> Iterator[ssl.SSLSocket]:
    """A connection, during the block; ``buffer`` is the size of its receive buffer, if not 0."""
    with socket.socket() as plain:
        if buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        plain.connect(monitor.address)
        plain.settimeout(PATIENCE)
        with authority.client().wrap_socket(plain, server_hostname="localhost") as client:
            yield client


class HandshakeTests(SynchronousTestCase):
    """Versions, certificates and clients that do not speak TLS."""

    def test_versions(self) -> None:
        """TLS 1.2 and 1.3 are accepted, with the chain up to the root; 1.1 is not."""
        with secure_monitor() as (monitor, authority):
            for version in ("1_2", "1_3"):
                told = asked(monitor, authority, f"-tls{version}")
                self.assertIn("Verify return code: 0 (ok)", told)
                self.assertIn(f"New, TLSv{version.replace('_', '.')}", told)
            old = asked(monitor, authority, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
            self.assertIn("alert protocol version", old)

    def test_renegotiation(self) -> None:
        """A client cannot renegotiate, which would cost the server much."""
        with secure_monitor() as (monitor, authority):
            told = asked(monitor, authority, "-tls1_2")
            self.assertIn("RENEGOTIATING", told)
            self.assertIn("no renegotiation", told)

    def test_chain_in_another_file(self) -> None:
        """The chain may be in a file of its own."""
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(Path(folder))
            with running_monitor(websocket_tls=authority.split()) as monitor:
                self.assertIn("Verify return code: 0 (ok)", asked(monitor, authority))

    def test_who_does_not_speak_it(self) -> None:
        """Plain HTTP is told so at once, silence is cut off after handshake_timeout."""
        with secure_monitor(limits={"handshake_timeout": 4}) as (monitor, authority):
            for data, text in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"https://"), (b"", b""):
                with socket.create_connection(monitor.address, timeout=PATIENCE) as client:
                    client.sendall(data)
                    self.assertIn(text, self.read_to_the_end(client))
            until(lambda: "plain HTTP on the TLS port" in monitor.logged())
            self.assertEqual(shown(monitor, authority), authority.issued)

    @staticmethod
    def read_to_the_end(client: socket.socket) -> bytes:
        """What comes until the connection ends, cleanly or not."""
        read = b""
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(1000):
                read += part
        return read

    def test_mistake(self) -> None:
        """A monitor with an unusable certificate does not start, and says why in one line."""
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(Path(folder))
            key = str(Path(folder) / "none.pem")
            monitor = Monitor(folder, websocket_tls={**authority.settings, "key": key})
            _, errors = monitor.launch().communicate(timeout=PATIENCE)
        self.assertIn(f"websocket_tls.key: cannot read {key}: No such file", errors)
        self.assertNotIn("Traceback", errors)


class FollowerTests(SynchronousTestCase):
    """Messages, over TLS."""

    def test_renewal(self) -> None:
        """SIGHUP loads the renewed certificate, but no bad one; clients stay connected."""
        with secure_monitor() as (monitor, authority), connected_broker(monitor) as broker:
            texts = asyncio.run(self._renew(monitor, authority, broker))
        self.assertEqual(
            [text[:24] for text in texts], ['{"command": "STARTED"}', '{"command": "FINISHED"}']
        )

    async def _renew(self, monitor: Monitor, authority: Authority, broker: Any) -> list[str]:
        url = f"wss://localhost:{monitor.address[1]}/"
        tls = authority.client()
        async with websockets.connect(url, ssl=tls, host="127.0.0.1", proxy=None) as client:
            await client.send("job")
            broker.send(b"job", b"STARTED")
            texts = [str(await client.recv())]
            await asyncio.to_thread(self._reload, monitor, authority)
            broker.send(b"job", b"FINISHED")
            return texts + [str(text) async for text in client]

    def _reload(self, monitor: Monitor, authority: Authority) -> None:
        authority.issue()
        self._signal(monitor, "uses the certificate")
        self.assertEqual(shown(monitor, authority), authority.issued)
        good = authority.issued
        authority.issue()
        authority.replace("key.pem", b"nothing")
        self._signal(monitor, "websocket_tls.key: ", "keeping the old settings: ")
        self.assertEqual(shown(monitor, authority), good)

    @staticmethod
    def _signal(monitor: Monitor, *texts: str) -> None:
        monitor.process.send_signal(signal.SIGHUP)
        until(lambda: all(text in monitor.logged() for text in texts))

    def test_slow_reader(self) -> None:
        """A slow client gets all of a long job, the close frame, and the end of TLS."""
        count = 10_000
        with secure_monitor() as (monitor, authority), connected_broker(monitor) as broker:
            for number in range(count):
                broker.send(b"job", b"TASK", str(number).encode(), b"COMPLETED")
            broker.send(b"job", b"FINISHED")
            with connected(monitor, authority, 4096) as slow:
                slow.sendall(HANDSHAKE + frame(TEXT, b"job"))
                time.sleep(2)
                data = bytearray()
                while not data.endswith(b"\x88\x02\x03\xe8"):
                    data += slow.recv(65536)
                slow.sendall(frame(CLOSE, b"\x03\xe8"))
                self.assertEqual(slow.recv(1), b"")  # an end without TLS's own would raise
        self.assertEqual(data.count(b'"TASK"'), count)

    def test_stalled_reader(self) -> None:
        """A client that takes nothing of what is due is cut off after stall_timeout."""
        limits = {"stall_timeout": 1}
        with (
            secure_monitor(limits=limits) as (monitor, authority),
            connected_broker(monitor) as broker,
            connected(monitor, authority, 4096) as stalled,
        ):
            stalled.sendall(HANDSHAKE + frame(TEXT, b"job"))
            for number in range(10_000):
                broker.send(b"job", b"TASK", str(number).encode(), b"COMPLETED")
            until(lambda: "no longer follows 'job': the connection was lost" in monitor.logged())

    def test_stop(self) -> None:
        """When the monitor stops, its clients are told to connect again."""
        with secure_monitor() as (monitor, authority), connected(monitor, authority) as client:
            client.sendall(HANDSHAKE + frame(TEXT, b"job"))
            until(lambda: "follows 'job'" in monitor.logged())
            monitor.process.send_signal(signal.SIGTERM)
            data = b""
            while b"the monitor stops" not in data:
                data += client.recv(1000)
            client.sendall(frame(CLOSE, b"\x03\xf4"))
            self.assertEqual(client.recv(1), b"")
            self.assertEqual(monitor.process.wait(PATIENCE), 0)


class BrowserTests(SynchronousTestCase):
    """A page over https."""

    skip = chromium_missing()

    def test_watch(self) -> None:
        """The page follows its job over wss."""
        with (
            secure_monitor() as (monitor, _),
            connected_broker(monitor) as broker,
            open_page(ignore_https_errors=True) as page,
        ):
            sockets: list[str] = []
            page.on("websocket", lambda opened: sockets.append(opened.url))
            page.goto(f"https://127.0.0.1:{monitor.address[1]}/watch/job")
            say(broker, "job", "STARTED", "FINISHED")
            page.get_by_role("heading", name="Evaluation over").wait_for()
        self.assertEqual(len(sockets), 1)
        self.assertTrue(sockets[0].startswith("wss://"))
