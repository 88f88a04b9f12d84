"""What pages of other origins may read of the answers over plain HTTP (CORS)."""

import re
from typing import Any

from recodex_monitor.clients.admission import Refused
from recodex_monitor.clients.connections import Connections
from recodex_monitor.clients.forwarded import source_of_request
from recodex_monitor.clients.refusals import METHODS

DEFAULT_HEADERS = b"Last-Event-ID"
"""Request headers that a page may send if its browser asks for none."""

MAX_HEADERS = 32
"""Request headers that one preflight may ask for; browsers' pages send a few."""

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, section 5.6.2


def check_origin(request: Any) -> None:
    """Refuse a request with several origins.

    Raises:
        Refused: there are several.
    """
    if len(request.requestHeaders.getRawHeaders(b"Origin", ())) > 1:
        raise Refused(400, "bad request", "There are several headers Origin.")


def allow_origin(request: Any, connections: Connections) -> None:
    """Let the page that sends a request read the answer.

    Raises:
        Refused: pages of its origin may not connect, or there are several origins.
    """
    request.setHeader(b"Vary", b"Origin")
    check_origin(request)
    source = source_of_request(request)
    connections.check_origin(request.channel.transport, source)
    if source.origin:
        request.setHeader(b"Access-Control-Allow-Origin", source.origin.encode("latin-1"))
        request.setHeader(b"Access-Control-Expose-Headers", b"Retry-After, WWW-Authenticate")


def answer_preflight(request: Any, connections: Connections) -> None:
    """Answer a browser that asks what a page of another origin may request.

    All headers are allowed, since none means more than Last-Event-ID here. Pages that are allowed
    by ``*`` only may not reach a monitor in a private network from a public one.
    """
    asked = request.requestHeaders.getRawHeaders(b"Access-Control-Request-Headers", ())
    request.setHeader(b"Allow", METHODS.encode())
    request.setHeader(b"Access-Control-Allow-Methods", b"GET")
    request.setHeader(b"Access-Control-Allow-Headers", _names(b",".join(asked)))
    request.setHeader(b"Access-Control-Max-Age", b"600")
    asks_for_private = request.getHeader(b"Access-Control-Request-Private-Network") or b""
    if asks_for_private.lower() == b"true" and connections.lists(source_of_request(request).origin):
        request.setHeader(b"Access-Control-Allow-Private-Network", b"true")
    request.setResponseCode(204)
    request.finish()


def _names(asked: bytes) -> bytes:
    """The valid names of headers in a list, once each and up to a limit."""
    names = (name.strip() for name in asked.split(b","))
    valid = {name.lower(): name for name in names if _NAME.fullmatch(name)}
    return b", ".join([*valid.values()][:MAX_HEADERS]) or DEFAULT_HEADERS
