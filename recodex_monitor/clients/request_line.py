"""Checks what comes before a request's headers, and recognises what is not HTTP/1.

Without this, a client of another protocol would wait for an answer until it times out.
"""

import re

from recodex_monitor.clients.admission import Refused

ZEROMQ = b"\xff\0"
"""The beginning of ZeroMQ's greeting (https://rfc.zeromq.org/spec/23/), as libzmq sends it."""

SSH = b"SSH-"
"""The beginning of an SSH connection (RFC 4253, section 4.2)."""

MAX_SHOWN = 40
"""How many bytes of something other than a request are logged and shown."""

MAX_EMPTY_LINES = 2
"""Empty lines before a request that are ignored; RFC 9112, section 2.2, asks for one.

The PROXY protocol's header, version 2, begins with two.
"""

_EMPTY_LINES = re.compile(rb"(?:\r\n){0,%d}" % MAX_EMPTY_LINES)
_METHOD = re.compile(rb"(?! )[!#$%&'*+.^_`|~0-9A-Za-z-]*(?: |\Z)")
_VERSION = re.compile(rb" HTTP/([0-9])[^ ]* *\Z", re.IGNORECASE)
_LATER = re.compile(rb"\A([^\r\n]* HTTP/1\.)[2-9](?=\r\n)")
_WITHOUT_VERSION = re.compile(rb"[A-Za-z]+ +(?:/|https?://)[^ ]* *", re.IGNORECASE)
_LONE = re.compile(rb"(?<!\r)\n|\r[^\n]")

_TO_ZEROMQ = (
    "{peer} speaks ZeroMQ, and this is the port for browsers. The broker's configuration must have "
    "the address and port of zeromq_uri of the monitor, not of its websocket_uri."
)
_OTHER_VERSION = (
    "{peer} speaks HTTP/{major}, and this port speaks HTTP/1.1. A proxy must use HTTP/1.1 to the "
    "monitor, which WebSocket needs."
)
_NO_VERSION = "The request has no version of HTTP, which must be HTTP/1.1 or HTTP/1.0."
_LONE_END = "A line of the request ends with CR or LF alone. Lines must end with both, CR LF."
_NO_HTTP = "This is not HTTP, which this port speaks, with WebSocket (http:// and ws://)."


def other_protocol(received: bytes, peer: str) -> Refused | None:
    """The refusal of a client that speaks ZeroMQ or SSH by its first bytes; None for all others."""
    if received.startswith(ZEROMQ):
        reason, text = "ZeroMQ on the public port", _TO_ZEROMQ.format(peer=peer)
        return Refused(400, reason, text, f"{reason}: {text}")
    if received.startswith(SSH):
        reason = "SSH on the public port"
        return Refused(400, reason, _NO_HTTP, f"{reason}: {peer} speaks SSH")
    return None


def not_a_request(received: bytes, peer: str) -> Refused | None:
    """The refusal of a client whose first bytes begin no request of HTTP/1; None for all others.

    As long as the first line may still become one, it is None. Which methods, paths and versions
    are served is decided elsewhere.
    """
    start = empty_lines(received)
    end = received.find(b"\n", start)
    line = (received[start:] if end < 0 else received[start:end]).removesuffix(b"\r")
    if _METHOD.match(line):
        version = _VERSION.search(line)
        if end < 0 or (version and version[1] == b"1"):
            return None
        if version:
            return _other_version(int(version[1]), peer)
    is_old = end >= 0 and _WITHOUT_VERSION.fullmatch(line)
    reason, text = ("no HTTP version", _NO_VERSION) if is_old else ("no HTTP", _NO_HTTP)
    shown = ascii(line[:MAX_SHOWN].decode("latin-1"))
    return Refused(400, reason, text, f"{reason}: {peer} sent {shown}")


def _other_version(major: int, peer: str) -> Refused:
    # The preface of HTTP/2 looks like a request (RFC 9113, section 3.4).
    reason = "HTTP/2 without TLS" if major == 2 else "other HTTP version"
    text = _OTHER_VERSION.format(peer=peer, major=major)
    return Refused(505, reason, text, f"{reason}: {text}")


def lone_line_end(head: bytes, start: int) -> Refused | None:
    """The refusal of a head with a line that ends with CR or LF alone; None for all others.

    Parsers disagree on such lines, so a proxy may see other headers (RFC 9112, section 2.2).

    Args:
        head: what has come of it.
        start: the first byte that was not there before.
    """
    found = _LONE.search(head, max(0, start - 1))
    return Refused(400, "lone CR or LF", _LONE_END) if found else None


def known_version(head: bytes) -> bytes:
    """A request's head with HTTP/1.1 in place of a later HTTP/1, which is read and answered alike.

    See RFC 9110, section 2.5.
    """
    return _LATER.sub(rb"\g<1>1", head)


def empty_lines(received: bytes) -> int:
    """Bytes of the empty lines before a request, which are ignored."""
    match = _EMPTY_LINES.match(received)
    return match.end() if match else 0
