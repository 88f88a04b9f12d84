"""Who may be a broker, where not everybody may: ZeroMQ asks by its own protocol, ZAP.

See https://rfc.zeromq.org/spec/27/. Keys are files as ``zmq.auth`` makes them.
"""

from collections.abc import Callable
from typing import TypeVar

import zmq
import zmq.auth
from twisted.logger import Logger
from zmq.utils import z85

from recodex_monitor.config import ConfigError, Zeromq
from recodex_monitor.dropped import Dropped
from recodex_monitor.values import parsed_ip

_log = Logger()
_T = TypeVar("_T")

ENDPOINT = "inproc://zeromq.zap.01"
"""Where ZeroMQ asks."""

_DOMAIN = b"brokers"
"""Without a domain, ZeroMQ asks about encrypted connections only."""


class Guard:
    """Says whose connections are taken.

    Attributes:
        refused: counts whose are not.
    """

    def __init__(self, settings: Zeromq, seconds: Callable[[], float]) -> None:
        """Read the keys.

        Args:
            settings: networks and keys.
            seconds: the time.

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
        self.refused = Dropped(_log, "broker's connection", seconds)

    def protect(self, socket: "zmq.Socket[bytes]") -> None:
        """Have ZeroMQ ask about who connects to a socket that is not bound yet."""
        socket.set(zmq.ZAP_DOMAIN, _DOMAIN)
        if self._secret is not None:
            socket.set(zmq.CURVE_SERVER, 1)
            socket.set(zmq.CURVE_SECRETKEY, self._secret)

    def answer(self, request: list[bytes]) -> list[bytes]:
        """Answer to a question of ZeroMQ's."""
        version, number, _domain, address, _identity, _mechanism, *credentials = request
        why = self._objection(address.decode(), credentials)
        status, text = (b"200", b"OK") if why is None else (b"400", why.encode())
        if why is not None:
            self.refused.add(why, f"{address.decode()}: {why}")
        return [version, number, status, text, b"", b""]

    def _objection(self, address: str, credentials: list[bytes]) -> str | None:
        # Who comes by a socket file has no address; the file's mode says who can.
        ip = parsed_ip(address)
        if ip is not None and not any(ip in network for network in self._networks):
            return "not in zeromq.allowed_networks"
        if self._clients is not None and z85.encode(credentials[0]) not in self._clients:
            return "its key is not in zeromq.curve_clients"
        return None


def make_guard(settings: Zeromq, seconds: Callable[[], float]) -> Guard | None:
    """Make a guard; None where everybody may be a broker.

    Raises:
        ConfigError: see Guard.
    """
    guarded = (settings.allowed_networks, settings.curve_key, settings.curve_clients)
    everybody = (Zeromq.allowed_networks, None, None)
    return None if guarded == everybody else Guard(settings, seconds)


def _read(key: str, path: str, parse: Callable[[str], _T]) -> _T:
    try:
        return parse(path)
    except (OSError, ValueError) as error:
        why = error.strerror or error if isinstance(error, OSError) else error
        raise ConfigError([f"zeromq.{key}: cannot use {path}: {why}"]) from None


def _secret_key(file: str) -> bytes:
    _, secret = zmq.auth.load_certificate(file)
    if secret is None:
        raise ValueError("has no secret key, name the .key_secret file")
    # ZeroMQ's own error would come when the socket is made.
    zmq.curve_public(secret)
    return secret


def _public_keys(folder: str) -> frozenset[bytes]:
    keys = frozenset(zmq.auth.load_certificates(folder))
    if not keys:
        raise ValueError("has no .key files")
    return keys
