"""TLS on the public port: a certificate that may be renewed, and connections that are encrypted.

To import it raises ConfigError where that needs packages that are not installed. Only a monitor
that is to speak TLS imports it: OpenSSL takes 6 MB.
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
"""Seconds after which the files are looked at again."""

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""Those of TLS 1.2; all of TLS 1.3 are good."""


def make_context(settings: Tls) -> SSL.Context:
    """Read the certificate and its key.

    Raises:
        ConfigError: a file cannot be read or used, or the key is not the certificate's.
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
    # Clients of ours connect once a job: sessions to resume would only cost memory.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
    # What an end of TCP alone cuts off from a client's words does not matter, while to make an
    # exception of it leaves a cycle behind.
    context.set_options(SSL.OP_IGNORE_UNEXPECTED_EOF)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Most connections are silent most of the time.
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
    # What does so in cryptography itself came after the one that Debian 12 has.
    found = [load_pem_x509_certificate(one) for one in _PEM.findall(content)]
    if not found:
        raise ValueError("no certificate")
    return found


def _reason(error: SSL.Error) -> str:
    return ", ".join(entry[2] for entry in error.args[0]) if error.args else "unknown"


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """The certificate that new connections get; one that is renewed takes its place."""

    def __init__(self, settings: Tls, seconds: Callable[[], float]) -> None:
        """Read the files.

        Args:
            settings: name the files.
            seconds: the time.

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
        """Take what has been put into the files; call it every second."""
        if self._seconds() - self._looked < LOOK:
            return
        self._looked = self._seconds()
        stamps = _stamps(self._settings)
        if stamps != self._seen:
            self._seen = stamps
            try:
                self.read(self._settings)()
            except ConfigError as error:
                _log.error("goes on with the old certificate: {why}", why=str(error))

    def read(self, settings: Tls) -> Callable[[], None]:
        """Read these files; returns what puts them in force.

        Raises:
            ConfigError: see make_context.
        """
        # The stamps first: what is written after that is seen by the next look.
        stamps, context = _stamps(settings), make_context(settings)

        def take() -> None:
            self._settings, self._seen, self._context = settings, stamps, context
            _log.info("took the certificate of {file}", file=settings.certificate)

        return take


def _stamps(settings: Tls) -> list[tuple[int, ...] | None]:
    return [_stamp(file) for file in (settings.certificate, settings.key, settings.chain)]


def _stamp(file: str | None) -> tuple[int, ...] | None:
    """What changes with a file's content, or with who may read it."""
    try:
        stat = os.stat(file or "")
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class SecureTransport(TLSMemoryBIOProtocol):
    """What ``transport.EagerServer`` is to a protocol, encrypted.

    Its transport is such a one, which has the socket and its options, pauses the producer as soon
    as encrypted bytes wait, and counts what is unsent.
    """

    transport: Any

    @property
    def protocol(self) -> Any:
        """Who gets what comes in; may be set while the connection is open."""
        return self.wrappedProtocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self.wrappedProtocol = protocol

    def send(self, data: bytes) -> int:
        """Send, and leave to the reactor what the kernel does not take; returns the length."""
        self.write(data)
        return len(data)

    def loseConnection(self) -> None:
        """Close once all is sent.

        Twisted would wait for the producer to unregister, and for the client to answer.
        """
        self.unregisterProducer()
        super().loseConnection()
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted when the connection has gone."""
        super().connectionLost(reason)
        # Else each would keep the other: the producer is the protocol, and this its transport.
        self._producer = None


class SecureFactory(TLSMemoryBIOFactory):
    """Puts TLS before the connections of another factory."""

    def __init__(self, certificate: Certificate, factory: IProtocolFactory, clock: Any) -> None:
        """Make a factory without connections.

        Args:
            certificate: of the server.
            factory: makes the connections' protocols; None from it closes one at once.
            clock: a reactor.
        """
        super().__init__(certificate, False, factory, clock)

    def buildProtocol(self, addr: Any) -> SecureTransport | None:  # type: ignore[override]
        """Called by Twisted for a new connection."""
        protocol = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else SecureTransport(self, protocol)
