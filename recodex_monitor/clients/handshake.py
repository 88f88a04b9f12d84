"""WebSocket handshakes as any client may send them (RFC 6455, section 4.2.1).

``fast_path`` recognises those of ordinary browsers. All extensions and subprotocols are declined,
so what a client offers of them is not read.
"""

import re
from base64 import b64encode
from hashlib import sha1
from typing import Any, NamedTuple

from recodex_monitor.clients.admission import Refused
from recodex_monitor.clients.forwarded import Source, source_of_request
from recodex_monitor.clients.origins import check_origin

_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


class Handshake(NamedTuple):
    """What a valid handshake says.

    Attributes:
        answer: the response that accepts it.
        source: says where it comes from.
        target: the path and the query.
        authorization: the value of that header; empty if there is none.
    """

    answer: bytes
    source: Source
    target: str
    authorization: str = ""


def acceptance(key: bytes) -> bytes:
    """The response that accepts a handshake with this Sec-WebSocket-Key."""
    return _ANSWER % b64encode(sha1(key + _GUID).digest())


def is_handshake(request: Any) -> bool:
    """Whether a request asks for WebSocket; if not, its header Upgrade means nothing here.

    A server may ignore the protocols that it does not speak, and must ignore the header in
    HTTP/1.0 (RFC 9110, section 7.8). Without ``Connection: Upgrade`` the header is not meant for
    this server, unless there is a key: then a proxy has removed Connection.
    """
    return (
        request.method == b"GET"
        and request.clientproto == b"HTTP/1.1"
        and b"websocket" in _tokens(request, b"Upgrade")
        and (
            b"upgrade" in _tokens(request, b"Connection")
            or request.requestHeaders.hasHeader(b"Sec-WebSocket-Key")
        )
    )


def handshake_of(request: Any) -> Handshake:
    """What a request that asks for WebSocket says.

    Raises:
        Refused: it is no valid handshake.
    """
    if b"upgrade" not in _tokens(request, b"Connection"):
        raise Refused(
            400,
            "not a handshake",
            "The header Connection of a WebSocket handshake must be Upgrade. If a proxy is in "
            "between, it has to pass the headers Upgrade and Connection on.",
        )
    version = _joined(request, b"Sec-WebSocket-Version")
    if not version:
        raise Refused(
            400, "not a handshake", "The header Sec-WebSocket-Version is missing; it must be 13."
        )
    if version != b"13":
        raise Refused(
            426, "other WebSocket version", "The WebSocket version must be 13 (RFC 6455)."
        )
    key = _joined(request, b"Sec-WebSocket-Key")
    if not _KEY.fullmatch(key):
        raise Refused(
            400, "not a handshake", "The header Sec-WebSocket-Key must be 16 bytes in Base64."
        )
    check_origin(request)
    source, target = source_of_request(request), request.uri.decode("latin-1")
    authorization = _joined(request, b"Authorization").decode("latin-1")
    return Handshake(acceptance(key), source, target, authorization)


def _joined(request: Any, name: bytes) -> bytes:
    """The value of a header, which may come several times."""
    return b",".join(request.requestHeaders.getRawHeaders(name, ()))


def _tokens(request: Any, name: bytes) -> list[bytes]:
    return [token.strip().lower() for token in _joined(request, name).split(b",")]
