"""Refusals: whole answers that say why a request is refused and what would be right."""

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from http import HTTPStatus

from twisted.web import http

from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.channels.source import NotReadable
from recodex_monitor.clients.admission import RETRY_AFTER, Refused, Unauthorized

METHODS = "GET, HEAD, OPTIONS"

STOPPING = Refused(503, "the monitor stops", "The monitor stops or restarts. Try again later.")
_NO_ROOM = Refused(503, "no room", "There is no room for another channel. Try again later.")
_NOT_READABLE = (
    "The messages of this channel cannot be read now, since the engine of the monitor's cluster is "
    "away or does not have them yet. Try again later."
)
NOT_READABLE = Refused(503, "engine away", _NOT_READABLE)
_NOT_VALID = (
    "This is not a valid request of HTTP/1.1 or HTTP/1.0. Characters of its path that are "
    "not ASCII must be percent-encoded, and it may have at most 500 headers, each as Name: value."
)
BAD_REQUEST = Refused(400, "bad request", _NOT_VALID)

Headers = list[tuple[str, str]]

_ACCEPT = re.compile(rb"\naccept:([^\r\n]*)", re.IGNORECASE)
_MEDIA_RANGE = re.compile(r"\s*([^\s;,]+)\s*((?:;[^,]*)?)")
_WEIGHT = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", re.IGNORECASE)
_STYLE = """
      body {
        max-width: 48rem;
        margin: 2rem auto;
        padding: 0 1rem;
        font: 1rem/1.5 system-ui, sans-serif;
      }
      h1 { font-size: 1.6rem; }
    """
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
# In the page, since a refused browser might be refused its style sheets, too.
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{title} - ReCodEx monitor</title>
    <style>{style}</style>
  </head>
  <body>
    <main>
      <h1>{title}</h1>
      <p>{text}</p>
    </main>
  </body>
</html>
"""


ENGINE_AWAY = NotReadable("the engine, which is away")
"""Why a client that has waited for a channel's messages cannot follow it."""


def refusal_of(error: NoRoom) -> Refused:
    """The refusal of a client that cannot follow a channel."""
    return NOT_READABLE if isinstance(error, NotReadable) else _NO_ROOM


def refusal(refused: Refused, accept: str = "") -> tuple[Headers, bytes]:
    """The headers that describe a refusal, and its body.

    Args:
        refused: has the status and the text.
        accept: the value of the header Accept; the body is a page where it prefers text/html, and
            plain text otherwise.
    """
    title = f"{refused.status} {HTTPStatus(refused.status).phrase}"
    if prefers_html(accept):
        kind = "html"
        body = _PAGE.format(title=escape(title), text=escape(refused.text), style=_STYLE)
    else:
        kind, body = "plain", f"{title}\n{refused.text}\n"
    content = body.encode()
    headers = [
        ("Content-Type", f"text/{kind}; charset=utf-8"),
        ("Content-Length", str(len(content))),
        # Else a cache could give a browser's page to a program.
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    if isinstance(refused, Unauthorized):
        headers.append(("WWW-Authenticate", challenge(refused.detail)))
    if kind == "html":
        headers.append(("Content-Security-Policy", _POLICY))
    if refused.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", METHODS))
    if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", str(RETRY_AFTER)))
    if refused.status == HTTPStatus.UPGRADE_REQUIRED:
        headers += [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")]
        headers[3] = ("Connection", "Upgrade, close")  # RFC 9110, section 7.8
    return headers, content


def challenge(detail: str) -> str:
    """The value of WWW-Authenticate (RFC 6750, section 3) for a token that is not accepted."""
    error = {"missing": "", "channel": ', error="insufficient_scope"'}
    named = error.get(detail, ', error="invalid_token"')
    return f'Bearer realm="recodex-monitor"{named}, error_description="{detail}"'


def whole_answer(refused: Refused, request: bytes = b"") -> bytes:
    """A whole response that refuses a request whose head is not understood.

    Args:
        refused: see ``refusal``.
        request: what has come of the head.
    """
    accept = _ACCEPT.search(request)
    headers, content = refusal(refused, accept[1].decode("latin-1") if accept else "")
    headers += [("Date", http.datetimeToString().decode()), ("X-Content-Type-Options", "nosniff")]
    first = f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}\r\n"
    head = first + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    return head.encode() + (b"" if request.startswith(b"HEAD ") else content)


def prefers_html(accept: str) -> bool:
    """Whether a header Accept names text/html, and not text/plain with a higher weight."""
    weights = {"text/html": 0.0, "text/plain": 0.0}
    for media_range in accept.split(","):
        if (found := _MEDIA_RANGE.fullmatch(media_range)) and found[1].lower() in weights:
            weight = _WEIGHT.search(found[2])
            weights[found[1].lower()] = float(weight[1]) if weight else 1.0
    return weights["text/html"] > 0 and weights["text/html"] >= weights["text/plain"]
