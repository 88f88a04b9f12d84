"""The WebSocket handshake of an ordinary browser, recognised and answered in one go.

Autobahn's own takes about twice as long. Only what is beyond doubt is accepted here: every
request that is in any way unusual is left to Autobahn, which knows what is wrong with it.
"""

import re
from base64 import b64encode
from hashlib import sha1
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

_HEAD = re.compile(
    rb"GET (/[!-\"$-~]*) HTTP/1\.1\r\n"  # no fragment
    rb"((?:[A-Za-z0-9-]+: ?[!-~][ -~]*\r\n)+)\r\n"  # nothing empty, folded or not ASCII
)
_EXPECTED = {
    b"host": re.compile(rb"[A-Za-z0-9._-]+(:[0-9]{1,5})?"),
    b"upgrade": re.compile(rb"websocket", re.IGNORECASE),
    b"connection": re.compile(rb"([A-Za-z-]+, ?)*upgrade(, ?[A-Za-z-]+)*", re.IGNORECASE),
    b"sec-websocket-version": re.compile(rb"13"),
    b"sec-websocket-key": re.compile(rb"[A-Za-z0-9+/]{22}=="),
}
_OPTIONAL = {
    b"origin": re.compile(rb"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?"),
    b"sec-websocket-extensions": re.compile(rb"permessage-deflate(; client_max_window_bits)?"),
}
_UNUSUAL = (b"sec-websocket-protocol", b"transfer-encoding", b"content-length", b"expect")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


class Handshake(NamedTuple):
    """What an ordinary handshake tells.

    Attributes:
        answer: what accepts it.
        forwarded_for: the value of X-Forwarded-For; empty without one.
        origin: of the page that connects; empty for a client that is no page.
        target: the path and the query.
        length: bytes of the head; what follows are frames.
    """

    answer: bytes
    forwarded_for: str
    origin: str
    target: str
    length: int


def ordinary(data: bytes) -> Handshake | None:
    """Read a handshake that is beyond doubt; None for anything else.

    Args:
        data: all that a client has sent, from the first byte.
    """
    head = _HEAD.match(data)
    headers = _headers(head[2]) if head else None
    if head is None or headers is None or not _is_ordinary(headers):
        return None
    accept = b64encode(sha1(headers[b"sec-websocket-key"] + _GUID).digest())
    forwarded_for = headers.get(b"x-forwarded-for", b"").decode("ascii")
    origin = headers.get(b"origin", b"").decode("ascii")
    target = head[1].decode("ascii")
    return Handshake(_ANSWER % accept, forwarded_for, origin, target, head.end())


def resume_point(target: str) -> str | None:
    """The value of ``after`` in the query of a request's target; None where there is none."""
    try:
        values = parse_qs(urlsplit(target).query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return None
    return values.get("after", [None])[0]


def _headers(lines: bytes) -> dict[bytes, bytes] | None:
    """The headers by lower-case name; None if one is there twice."""
    headers: dict[bytes, bytes] = {}
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    return headers if len(headers) == lines.count(b"\r\n") else None


def _is_ordinary(headers: dict[bytes, bytes]) -> bool:
    return (
        all(pattern.fullmatch(headers.get(name, b"")) for name, pattern in _EXPECTED.items())
        and all(
            pattern.fullmatch(headers[name])
            for name, pattern in _OPTIONAL.items()
            if name in headers
        )
        and not any(name in headers for name in _UNUSUAL)
    )
