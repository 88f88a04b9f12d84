"""The certificate, mistakes in it, and encrypted connections in memory."""

import io
import os
import ssl
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from twisted.internet import task
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor import cli
from recodex_monitor.network.tls import LOOK, Certificate, SecureFactory, make_context
from recodex_monitor.settings.schema import ConfigError, Tls
from tests.support.certificates import Authority
from tests.support.clients import Transport, service
from tests.support.frames import HANDSHAKE, TEXT, frame, frames
from tests.support.http import answer, request
from tests.support.messages import message


class CertificateTests(SynchronousTestCase):
    """The files of a certificate, and mistakes in them."""

    def setUp(self) -> None:
        """An authority that has issued a certificate."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.settings = Tls(**self.authority.settings)

    def problem(self, **changed: str | None) -> str:
        """The error for settings with these changes."""
        with self.assertRaises(ConfigError) as raised:
            make_context(Tls(**{**self.authority.settings, **changed}))
        return str(raised.exception).replace(f"{self.folder}/", "")

    def test_mistakes(self) -> None:
        """A file that is missing, or contains something else, is reported with its key."""
        (self.folder / "empty.pem").touch()
        empty, none = str(self.folder / "empty.pem"), str(self.folder / "none.pem")
        for key, what in (("certificate", "certificate"), ("key", "private key")):
            name = f"websocket_tls.{key}"
            self.assertEqual(
                self.problem(**{key: None}),
                f"{name}: is missing, TLS needs a certificate and a key",
            )
            self.assertEqual(
                self.problem(**{key: none}),
                f"{name}: cannot read none.pem: No such file or directory",
            )
            self.assertEqual(
                self.problem(**{key: empty}), f"{name}: empty.pem has no {what} in PEM"
            )
        self.assertEqual(
            self.problem(chain=empty), "websocket_tls.chain: empty.pem has no certificate in PEM"
        )

    def test_key_of_another(self) -> None:
        """A key that does not fit the certificate is reported with both files."""
        other = self.folder / "other"
        other.mkdir()
        key = Authority(other).settings["key"]
        self.assertEqual(
            self.problem(key=key), "websocket_tls.key: other/key.pem is not the key of cert.pem"
        )

    def test_passphrase(self) -> None:
        """A key with a passphrase is an error; nobody is asked for the passphrase."""
        key = serialization.load_pem_private_key((self.folder / "key.pem").read_bytes(), None)
        locked = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        (self.folder / "key.pem").write_bytes(locked)
        self.assertEqual(self.problem(), "websocket_tls.key: key.pem has a passphrase, remove it")

    def checked(self, settings: dict[str, str]) -> tuple[int, str]:
        """The exit code and the output of ``recodex-monitor check`` for these settings."""
        config = self.folder / "config.yml"
        config.write_text(yaml.safe_dump({"websocket_tls": settings}))
        self.patch(sys, "argv", ["recodex-monitor", "check", "-c", str(config)])
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = cli.main()
        return code, out.getvalue() + err.getvalue()

    def test_check(self) -> None:
        """``recodex-monitor check`` reads the files too."""
        code, printed = self.checked(self.authority.settings)
        self.assertEqual((code, "certificate: " in printed), (0, True))
        os.remove(self.folder / "key.pem")
        code, printed = self.checked(self.authority.settings)
        self.assertEqual((code, printed.split(": ")[1]), (1, "websocket_tls.key"))


class RenewalTests(SynchronousTestCase):
    """A certificate that is renewed while the monitor runs."""

    def setUp(self) -> None:
        """A server with a certificate."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.authority = Authority(folder)
        self.clock = task.Clock()
        self.certificate = Certificate(Tls(**self.authority.settings), self.clock.seconds)
        _, self.hub, self.public = service()
        self.factory = SecureFactory(self.certificate, self.public, self.clock)

    def look(self, seconds: float) -> str:
        """The certificate that a new client gets after some seconds."""
        self.clock.advance(seconds)
        self.certificate.look()
        client = Client(self.factory, self.authority)
        return client.certificate()

    def test_files_change(self) -> None:
        """Changed files are found within a minute."""
        first = self.authority.issued
        self.authority.issue()
        self.assertEqual(self.look(LOOK - 1), first)
        self.assertEqual(self.look(1), self.authority.issued)

    def test_bad_files(self) -> None:
        """Files that do not fit are logged once, and the old certificate stays in use meanwhile."""
        first, key = self.authority.issued, Path(self.authority.settings["key"]).read_bytes()
        self.authority.issue()
        second = Path(self.authority.settings["key"]).read_bytes()
        self.authority.replace("key.pem", key)
        told: list[str] = []
        self.patch(sys.modules["recodex_monitor.network.tls"], "_log", Lines(told))
        self.assertEqual([self.look(LOOK) for _ in range(3)], [first] * 3)
        self.assertEqual(len(told), 1)
        self.assertIn("is not the key of", told[0])
        self.authority.replace("key.pem", second)
        self.assertEqual(self.look(LOOK), self.authority.issued)

    def test_who_is_connected_stays(self) -> None:
        """A client that has connected before a renewal stays connected."""
        client = Client(self.factory, self.authority)
        client.send(HANDSHAKE + frame(TEXT, b"job"))
        self.authority.issue()
        self.certificate.read(Tls(**self.authority.settings))()
        self.hub.publish([message("job", "STARTED")])
        self.assertIn(b'{"command": "STARTED"}', client.take())


class Lines:
    """A logger that keeps errors."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def info(self, text: str, **values: object) -> None:
        """Ignore a line."""

    def error(self, text: str, **values: object) -> None:
        """Keep a line."""
        self._told.append(text.format(**values))


class Client:
    """A client with TLS in memory."""

    def __init__(self, factory: SecureFactory, authority: Authority) -> None:
        server = factory.buildProtocol(None)
        assert server is not None
        self.server = server
        self.transport = Transport(server, isServer=True)
        server.makeConnection(self.transport)
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = authority.client().wrap_bio(
            self._coming, self._going, server_hostname="localhost"
        )
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._exchange()
        self._exchange()

    def _exchange(self) -> None:
        if going := self._going.read():
            self.server.dataReceived(going)
        self._coming.write(b"".join(self.transport.stream))
        self.transport.stream.clear()

    def certificate(self) -> str:
        """The certificate of the server, in PEM."""
        shown = self._tls.getpeercert(True)
        assert shown is not None
        return ssl.DER_cert_to_PEM_cert(shown)

    def send(self, data: bytes) -> None:
        """Let the server receive bytes."""
        self._tls.write(data)
        self._exchange()

    def take(self) -> bytes:
        """All that the server has sent since the last call."""
        self._exchange()
        taken = b""
        try:
            while data := self._tls.read(65536):
                taken += data
        except ssl.SSLWantReadError:
            pass
        return taken


class ConnectionTests(SynchronousTestCase):
    """The protocols of the public port, encrypted."""

    def setUp(self) -> None:
        """A server with a channel, and a client."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        authority = Authority(folder)
        self.clock, self.hub, self.public = service(max_connections=1)
        certificate = Certificate(Tls(**authority.settings), self.clock.seconds)
        self.factory = SecureFactory(certificate, self.public, self.clock)
        self.client = Client(self.factory, authority)
        self.hub.publish([message("job", "STARTED")])

    def received(self) -> list[Any]:
        """The frames that have come."""
        return frames(self.client.take())

    def follow(self) -> None:
        """Follow the channel."""
        self.client.send(HANDSHAKE + frame(TEXT, b"job"))
        head, _, rest = self.client.take().partition(b"\r\n\r\n")
        self.assertIn(b" 101 ", head)
        self.assertEqual(frames(rest), [(TEXT, b'{"command": "STARTED"}')])

    def test_websocket(self) -> None:
        """Messages come as they are published, and the connection ends with the channel."""
        self.follow()
        self.hub.publish([message("job", "FINISHED")])
        (_, text), (_, code) = self.received()
        self.assertEqual((text, code), (b'{"command": "FINISHED"}', b"\x03\xe8"))
        self.client.send(frame(8, b"\x03\xe8"))
        self.assertTrue(self.client.transport.disconnecting)
        self.assertFalse(self.client.transport.aborted)

    def test_http(self) -> None:
        """A plain request is answered, and TLS is closed after the answer."""
        self.client.send(request("/channels/job"))
        self.assertEqual(answer(self.client.take()).status, 200)
        self.assertTrue(self.client.transport.disconnecting)

    def test_slow_reader(self) -> None:
        """A client that takes no more is sent no more, and later gets the rest."""
        self.follow()
        transport = self.client.transport
        transport.full = True
        for number in range(3):
            self.hub.publish([message("job", "TASK", str(number), "COMPLETED")])
        self.assertEqual(len(self.received()), 1)
        transport.full = False
        assert transport.producer is not None
        transport.producer.resumeProducing()
        self.assertEqual(len(self.received()), 2)

    def test_unsent(self) -> None:
        """Unsent bytes are those of the socket."""
        self.client.transport.unacknowledged = 1234
        self.assertEqual(self.client.server.unsent(), 1234)

    def test_no_room(self) -> None:
        """A connection beyond the limit is closed before its handshake."""
        self.assertIsNotNone(self.factory.buildProtocol(None))
        self.public.connections.has_room = lambda: False  # type: ignore[method-assign]
        self.assertIsNone(self.factory.buildProtocol(None))

    def test_cut(self) -> None:
        """A connection can be cut off."""
        self.follow()
        self.public.connections.abort_all()
        self.assertTrue(self.client.transport.aborted)
