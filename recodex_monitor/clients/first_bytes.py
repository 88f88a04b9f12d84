"""Protocols that the public port does not speak as it is set, recognised by their first bytes.

They are TLS on a port without it, plain HTTP on a port with TLS, the PROXY protocol, by which load
balancers tell the addresses of their clients, and what ``request_line`` recognises. Most of them
come of a setting that is wrong on one of two sides; unrecognised they would wait for a timeout, or
get an answer that misleads.
"""

from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from recodex_monitor.clients.admission import Refused
from recodex_monitor.clients.connections import Connections
from recodex_monitor.clients.refusals import STOPPING, whole_answer
from recodex_monitor.clients.request_line import (
    SSH,
    ZEROMQ,
    empty_lines,
    not_a_request,
    other_protocol,
)
from recodex_monitor.network.hello import ALERT, SSL_2, is_tls

PROXY_V1 = b"PROXY "
"""The beginning of the PROXY protocol's header, version 1."""

PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"
"""The beginning of the PROXY protocol's header, version 2."""

_TLS = (
    "{peer} speaks TLS, and this port does not. Use http:// and ws:// here, or set websocket_tls "
    "of the monitor."
)
_NO_TLS = (
    "{peer} speaks {what}, and this port speaks TLS. Use https:// and wss:// here, or remove "
    "websocket_tls of the monitor."
)
_PROXY = (
    "{peer} sends the PROXY protocol. It is read if the monitor has websocket_proxy_protocol: "
    "true, and from addresses in trusted_proxies only. Else the proxy must not send it."
)
_NO_PROXY = (
    "{peer} is in trusted_proxies and does not send the PROXY protocol, which the monitor's "
    "websocket_proxy_protocol: true demands. Let it send that (send-proxy), or remove the setting."
)


class BeginningConnection(Protocol):
    """A connection of which only the first bytes have come; a ``connections.Connection``."""

    transport: Any
    _received = b""

    def __init__(self, connections: Connections) -> None:
        """Wait for the first bytes.

        Args:
            connections: knows all connections.
        """
        self._connections = connections

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted when the connection has ended."""
        self._connections.lost(self)

    def refuse(self, refused: Refused) -> None:
        """Count, log and answer that the connection is refused, and end it."""
        self._connections.refuse(refused)
        self._answer(refused)

    def _answer(self, refused: Refused) -> None:
        self.transport.write(answer_to(refused, self._received))
        self.transport.loseConnection()

    def leave(self) -> None:
        """Refuse, because the monitor stops; see connections.Connection."""
        self._answer(STOPPING)

    def cut(self) -> None:
        """End the connection at once; see connections.Connection."""
        self.transport.abortConnection()


def refusal_on_plain_port(received: bytes, peer: str) -> Refused | None:
    """The refusal of a client by its first bytes, on a port without TLS; None for all others."""
    if is_tls(received):
        return _refused("TLS on the plain port", _TLS, peer)
    if _is_proxied(received):
        return _refused("PROXY protocol", _PROXY, peer)
    return other_protocol(received, peer) or not_a_request(received, peer)


def refusal_on_tls_port(received: bytes, peer: str) -> Refused | None:
    """The refusal of a client by its first bytes, on a port with TLS; None for all others."""
    if _is_proxied(received):
        return _refused("PROXY protocol", _PROXY, peer)
    if is_tls(received) or received[:1] in (b"", bytes([SSL_2])):
        return None
    if other := other_protocol(received, peer):
        return other
    # OpenSSL would wait for five bytes before it looks at the first.
    if received[:1].isalpha() or received[:1] in b"\r\n":
        return _refused("plain HTTP on the TLS port", _NO_TLS, peer, what="plain HTTP")
    return _refused("no TLS on the TLS port", _NO_TLS, peer, what="neither TLS nor HTTP")


def refusal_without_proxy(received: bytes, peer: str) -> Refused:
    """The refusal of a trusted proxy that does not send the PROXY protocol and should."""
    return other_protocol(received, peer) or _refused("no PROXY protocol", _NO_PROXY, peer)


def answer_to(refused: Refused, received: bytes) -> bytes:
    """What a client with these first bytes understands: an alert of TLS, or an answer of HTTP.

    Empty for ZeroMQ and SSH, which understand neither.
    """
    if received.startswith((ZEROMQ, SSH)):
        return b""
    return ALERT if is_tls(received) else whole_answer(refused, received[empty_lines(received) :])


def _is_proxied(received: bytes) -> bool:
    # Five bytes are enough: no request begins with two empty lines and a zero.
    return received.startswith((PROXY_V1, PROXY_V2[:5]))


def _refused(reason: str, text: str, peer: str, **values: str) -> Refused:
    told = text.format(peer=peer, **values)
    return Refused(400, reason, told, f"{reason}: {told}")
