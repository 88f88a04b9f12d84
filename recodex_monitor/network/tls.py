"""TLS on the public port: the certificate, its renewal, and encrypted connections.

Importing it raises ConfigError if a package that it needs is not installed. Import it only if TLS
is configured: OpenSSL takes 6 MB.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from recodex_monitor.settings.schema import ConfigError, Tls

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import Certificate as Parsed
    from cryptography.x509 import load_pem_x509_certificate
    from OpenSSL import SSL, crypto
    from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
except ImportError as error:
    why = f"needs what recodex-monitor[tls] installs: {error}"
    raise ConfigError([f"websocket_tls: {why}"]) from None

_log = Logger()
_T = TypeVar("_T")
_PEM = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

LOOK = 60
"""Seconds between two checks whether the files have changed."""

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""Ciphers for TLS 1.2; those of TLS 1.3 need no choice, as all of them are good."""


def make_context(settings: Tls) -> SSL.Context:
    """Read the certificate, its key and its chain.

    Raises:
        ConfigError: a file cannot be read or used, or the key does not fit the certificate.
    """
    first, *others = _read("certificate", settings.certificate, _certificates)
    key = _read("key", settings.key, lambda content: load_pem_private_key(content, None))
    if settings.chain is not None:
        others += _read("chain", settings.chain, _certificates)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _harden(context)
    try:
        context.use_certificate(crypto.X509.from_cryptography(first))
        for other in others:
            context.add_extra_chain_cert(crypto.X509.from_cryptography(other))
    except SSL.Error as error:
        why = f"{settings.certificate} cannot be used: {_reason(error)}"
        raise ConfigError([f"websocket_tls.certificate: {why}"]) from None
    try:
        context.use_privatekey(crypto.PKey.from_cryptography_key(key))  # type: ignore[arg-type]
        context.check_privatekey()
    except (SSL.Error, TypeError):
        why = f"{settings.key} is not the key of {settings.certificate}"
        raise ConfigError([f"websocket_tls.key: {why}"]) from None
    return context


def _harden(context: SSL.Context) -> None:
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    # A client connects once for a job: sessions to resume would only cost memory.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
    # A client's message that is truncated by the end of TCP does not matter here. Reporting that
    # end as an error would leave a reference cycle behind for every connection.
    context.set_options(SSL.OP_IGNORE_UNEXPECTED_EOF)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Most connections are idle most of the time, and need no buffers then.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)


def _read(key: str, file: str | None, parse: Callable[[bytes], _T]) -> _T:
    name = f"websocket_tls.{key}"
    if file is None:
        raise ConfigError([f"{name}: is missing, TLS needs a certificate and a key"])
    try:
        return parse(Path(file).read_bytes())
    except OSError as error:
        raise ConfigError([f"{name}: cannot read {file}: {error.strerror}"]) from None
    except TypeError:
        raise ConfigError([f"{name}: {file} has a passphrase, remove it"]) from None
    except (ValueError, UnsupportedAlgorithm):
        what = "private key" if key == "key" else "certificate"
        raise ConfigError([f"{name}: {file} has no {what} in PEM"]) from None


def _certificates(content: bytes) -> "list[Parsed]":
    # cryptography's own load_pem_x509_certificates is newer than the version in Debian 12.
    found = [load_pem_x509_certificate(one) for one in _PEM.findall(content)]
    if not found:
        raise ValueError("no certificate")
    return found


def _reason(error: SSL.Error) -> str:
    return ", ".join(entry[2] for entry in error.args[0]) if error.args else "unknown"


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """The certificate of new connections, replaced when its files are renewed."""

    def __init__(self, settings: Tls, seconds: Callable[[], float]) -> None:
        """Read the files.

        Args:
            settings: name the files.
            seconds: tells the time.

        Raises:
            ConfigError: see make_context.
        """
        self._settings = settings
        self._seconds = seconds
        self._looked = seconds()
        self._seen = _stamps(settings)
        self._context = make_context(settings)

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """Called by Twisted for a new connection."""
        return SSL.Connection(self._context, None)

    def look(self) -> None:
        """Read the files again if they have changed; call it every second."""
        if self._seconds() - self._looked < LOOK:
            return
        self._looked = self._seconds()
        stamps = _stamps(self._settings)
        if stamps != self._seen:
            self._seen = stamps
            try:
                self.read(self._settings)()
            except ConfigError as error:
                _log.error(
                    "cannot use the new certificate, so the old one stays in use: {why}",
                    event="certificate_refused",
                    why=str(error),
                )

    def read(self, settings: Tls) -> Callable[[], None]:
        """Read these files; returns a function that puts the certificate in force.

        Raises:
            ConfigError: see make_context.
        """
        # Stamps before contents: a file written in between then differs at the next look.
        stamps, context = _stamps(settings), make_context(settings)

        def take() -> None:
            self._settings, self._seen, self._context = settings, stamps, context
            _log.info(
                "uses the certificate in {file}",
                event="certificate_used",
                file=settings.certificate,
            )

        return take


def _stamps(settings: Tls) -> list[tuple[int, ...] | None]:
    return [_stamp(file) for file in (settings.certificate, settings.key, settings.chain)]


def _stamp(file: str | None) -> tuple[int, ...] | None:
    """Numbers that change with a file's content or permissions; None if it is missing."""
    try:
        stat = os.stat(file or "")
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class SecureTransport(TLSMemoryBIOProtocol):
    """An encrypted connection with the interface of ``eager.EagerServer``.

    Its transport is an EagerServer: that has the socket and its options, pauses the producer as
    soon as encrypted bytes are waiting, and counts unsent bytes.
    """

    factory: "SecureFactory"
    transport: Any
    _has_received = False

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with encrypted data; the first may turn out not to be TLS."""
        if not self._has_received:
            self._has_received = True
            if (answer := self.factory.refusal(self.transport, data)) is not None:
                self.transport.write(answer)
                self.transport.loseConnection()
                return
        super().dataReceived(data)

    @property
    def protocol(self) -> Any:
        """Receives the decrypted data; may be replaced while the connection is open."""
        return self.wrappedProtocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self.wrappedProtocol = protocol

    def send(self, data: bytes) -> None:
        """Do what ``write`` does; see EagerServer."""
        self.write(data)

    def loseConnection(self) -> None:
        """Close once everything is sent.

        Twisted's own would wait until the producer unregisters and the client answers.
        """
        self.unregisterProducer()
        super().loseConnection()
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted when the connection has gone."""
        super().connectionLost(reason)
        # Breaks a reference cycle: this is the transport of its producer.
        self._producer = None


class SecureFactory(TLSMemoryBIOFactory):
    """Encrypts the connections of another factory."""

    def __init__(
        self,
        certificate: Certificate,
        factory: IProtocolFactory,
        clock: Any,
        refusal: Callable[[Any, bytes], bytes | None] = lambda transport, data: None,
    ) -> None:
        """Make a factory without connections.

        Args:
            certificate: of the server.
            factory: makes the protocols; if it makes None the connection is closed at once.
            clock: the reactor.
            refusal: called with the transport of a new connection and its first data; what it
                returns is sent unencrypted, as an answer to a client that does not speak TLS, and
                the connection is closed. None goes on with TLS.
        """
        super().__init__(certificate, False, factory, clock)
        self.refusal = refusal

    def buildProtocol(self, addr: Any) -> SecureTransport | None:  # type: ignore[override]
        """Called by Twisted for a new connection."""
        protocol = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else SecureTransport(self, protocol)
