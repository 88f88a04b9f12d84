"""Decides which peers may connect as brokers, by answering ZeroMQ's ZAP requests.

ZAP is the ZeroMQ Authentication Protocol, https://rfc.zeromq.org/spec/27/. Keys are files as
``zmq.auth`` makes them.
"""

from collections.abc import Callable
from typing import TypeVar

import zmq
import zmq.auth
from twisted.logger import Logger
from zmq.utils import z85

from recodex_monitor.settings.endpoints import parsed_ip
from recodex_monitor.settings.schema import ConfigError, Zeromq
from recodex_monitor.timing.throttle import ThrottledCounts

_log = Logger()
_T = TypeVar("_T")

ENDPOINT = "inproc://zeromq.zap.01"
"""Where ZeroMQ sends its requests."""

NETWORK, FILE = b"network", b"file"
"""ZAP's domains: whether a broker connects by an IP address or by a socket file."""


REFUSED = b"400"
"""The status of a reply that refuses a connection."""


class Guard:
    """Decides whose connections are accepted.

    Attributes:
        refused: those that are not, by reason.
        wants_curve: whether they must use CURVE.
    """

    def __init__(self, settings: Zeromq, seconds: Callable[[], float]) -> None:
        """Read the keys.

        Args:
            settings: networks and keys.
            seconds: the time in seconds.

        Raises:
            ConfigError: a file cannot be read or used.
        """
        self._networks = settings.allowed_networks
        self._secret = self._clients = None
        if settings.curve_key is not None:
            self._secret = _read("curve_key", settings.curve_key, _secret_key)
        if settings.curve_clients is not None:
            if self._secret is None:
                raise ConfigError(["zeromq.curve_clients: needs zeromq.curve_key too"])
            self._clients = _read("curve_clients", settings.curve_clients, _public_keys)
        self.wants_curve = self._secret is not None
        self.refused = ThrottledCounts(_log, "broker connection", seconds)

    def protect(self, socket: "zmq.Socket[bytes]", domain: bytes) -> None:
        """Have ZeroMQ ask about each connection to a socket; call it before the socket is bound."""
        socket.set(zmq.ZAP_DOMAIN, domain)
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        if self._secret is not None:
            socket.set(zmq.CURVE_SERVER, 1)
            socket.set(zmq.CURVE_SECRETKEY, self._secret)

    def answer(self, request: list[bytes]) -> list[bytes]:
        """The reply to a request: accepted (200) or refused (400), with the reason."""
        version, number, domain, address, _identity, _mechanism, *credentials = request
        host = address.decode("ascii", "replace")
        why = self._objection(domain, host, credentials)
        if why is not None:
            self.refused.add(why, f"{host!r}: {why}")
            return [version, number, REFUSED, why.encode(), b"", b""]
        return [version, number, b"200", b"OK", b"", b""]

    def _objection(self, domain: bytes, host: str, credentials: list[bytes]) -> str | None:
        # The mode of a socket file decides who can connect by it.
        ip = parsed_ip(host)
        inside = ip is not None and any(ip in network for network in self._networks)
        if domain != FILE and not inside:
            return "not in zeromq.allowed_networks"
        if self._clients is not None and z85.encode(credentials[0]) not in self._clients:
            return "its key is not in zeromq.curve_clients"
        return None


def make_guard(settings: Zeromq, seconds: Callable[[], float]) -> Guard | None:
    """Make a guard; None if all peers may connect.

    Raises:
        ConfigError: see Guard.
    """
    guarded = (settings.allowed_networks, settings.curve_key, settings.curve_clients)
    everybody = (Zeromq.allowed_networks, None, None)
    return None if guarded == everybody else Guard(settings, seconds)


def _read(key: str, path: str, parse: Callable[[str], _T]) -> _T:
    try:
        return parse(path)
    except (OSError, ValueError, zmq.ZMQError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError([f"zeromq.{key}: cannot use {path}: {why}"]) from None


def _secret_key(file: str) -> bytes:
    _, secret = zmq.auth.load_certificate(file)
    if secret is None:
        raise ValueError("has no secret key, name the .key_secret file")
    # Check it now: ZeroMQ would complain only when the socket is made.
    zmq.curve_public(secret)
    return secret


def _public_keys(folder: str) -> frozenset[bytes]:
    keys = frozenset(zmq.auth.load_certificates(folder))
    if not keys:
        raise ValueError("has no .key files")
    return keys
