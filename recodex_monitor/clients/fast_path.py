"""The handshakes and frames of ordinary browsers, parsed in one go.

A whole parser takes at least twice as long. Only what is beyond doubt is accepted here: everything
unusual is left to ``handshake``, and to Autobahn, which know what is wrong with it.
"""

import re

from recodex_monitor.clients.forwarded import source_of
from recodex_monitor.clients.handshake import Handshake, acceptance

CLOSE, PONG = 0x88, 0x8A
"""The first bytes of whole frames (RFC 6455, section 5.2); ``frames.TEXT`` is another."""

NORMAL_CLOSE = b"\x03\xe8"
"""The payload of a close frame with code 1000 and without a reason."""

_HEAD = re.compile(
    rb"GET (/[!-\"$-~]*) HTTP/1\.1\r\n"  # no fragment
    rb"((?:[A-Za-z0-9-]+: ?[!-~][ -~]*\r\n)+)\r\n"  # no empty, folded or non-ASCII values
)
_REQUIRED = (
    (b"host", re.compile(rb"[A-Za-z0-9._-]+(:[0-9]{1,5})?").fullmatch),
    (b"upgrade", re.compile(rb"websocket", re.IGNORECASE).fullmatch),
    (
        b"connection",
        re.compile(rb"([A-Za-z-]+, ?)*upgrade(, ?[A-Za-z-]+)*", re.IGNORECASE).fullmatch,
    ),
    (b"sec-websocket-version", re.compile(rb"13").fullmatch),
    (b"sec-websocket-key", re.compile(rb"[A-Za-z0-9+/]{22}==").fullmatch),
)
_OPTIONAL = (
    (b"origin", re.compile(rb"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?").fullmatch),
    (
        b"sec-websocket-extensions",
        re.compile(rb"permessage-deflate(; client_max_window_bits)?").fullmatch,
    ),
)
_UNUSUAL = frozenset(
    (b"sec-websocket-protocol", b"transfer-encoding", b"content-length", b"expect")
)
_LINE = re.compile(rb"([^:]+):([^\r]+)\r\n")


def ordinary_handshake(data: bytes) -> tuple[Handshake, int] | None:
    """Parse a handshake that is beyond doubt; None for anything else.

    Args:
        data: everything that the client has sent.

    Returns:
        What it says, and the bytes of its head; frames may follow.
    """
    head = _HEAD.match(data)
    headers = _headers(head[2]) if head else None
    if head is None or headers is None or not _is_ordinary(headers):
        return None
    answer = acceptance(headers[b"sec-websocket-key"])
    authorization = headers.get(b"authorization", b"").decode("ascii")
    target = head[1].decode("ascii")
    return Handshake(answer, source_of(headers), target, authorization), head.end()


def lone_frame(data: bytes) -> tuple[int, bytes] | None:
    """The first byte and the payload of a masked frame with a payload of less than 126 bytes.

    None unless the data is exactly one such frame.
    """
    length = len(data) - 6
    if not 0 <= length < 126 or data[1] != 0x80 | length:
        return None
    mask = data[2:6] * (length // 4 + 1)
    unmasked = int.from_bytes(data[6:], "big") ^ int.from_bytes(mask[:length], "big")
    return data[0], unmasked.to_bytes(length, "big")


def is_utf8(payload: bytes) -> bool:
    """Whether a payload is valid UTF-8, as that of a text frame must be."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _headers(lines: bytes) -> dict[bytes, bytes] | None:
    """The headers by lower-case name; None if a name occurs twice."""
    found = _LINE.findall(lines)
    headers = {name.lower(): value.strip() for name, value in found}
    return headers if len(headers) == len(found) else None


def _is_ordinary(headers: dict[bytes, bytes]) -> bool:
    for name, matches in _REQUIRED:
        if name not in headers or not matches(headers[name]):
            return False
    for name, matches in _OPTIONAL:
        if name in headers and not matches(headers[name]):
            return False
    return _UNUSUAL.isdisjoint(headers)
