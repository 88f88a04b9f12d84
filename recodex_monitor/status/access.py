"""Who may see the status: checks of the host name and of the token."""

import hmac
from collections.abc import Iterable
from enum import Enum
from http.cookies import CookieError, SimpleCookie

COOKIE = "recodex_monitor_status"
"""The cookie of a browser that has signed in."""


class Token(Enum):
    """Whether a client has sent the token, in a header or by its cookie."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"


class Access:
    """Says whether a request may be answered."""

    def __init__(self, hosts: Iterable[str], token: str | None) -> None:
        """Accept these host names, and localhost.

        Args:
            hosts: names and addresses by which the listener is called.
            token: what a client must send; None if everyone who can connect may see all.
        """
        self._hosts = {"localhost", *(_plain(host) for host in hosts)}
        self._token = token.encode() if token is not None else None

    def knows_host(self, header: str, local: str) -> bool:
        """Whether a request names a host by which this listener is known.

        That stops DNS rebinding: a page whose host name an attacker has pointed at this machine
        sends that name.

        Args:
            header: the value of Host.
            local: the address at which the connection has come in; empty where it has none.
        """
        host = header.rpartition("]")[0] if header.startswith("[") else header.partition(":")[0]
        return bool(host) and _plain(host) in {*self._hosts, _plain(local)}

    @property
    def is_needed(self) -> bool:
        """Whether a client must know a token."""
        return self._token is not None

    def judge(self, authorization: str, cookies: str) -> Token:
        """Whether these headers carry the token; only RIGHT may see the ids of jobs."""
        scheme, _, bearer = authorization.partition(" ")
        bearer = bearer.strip() if scheme.lower() == "bearer" else ""
        cookie = _cookie(cookies)
        if self._token is None or self.is_token(bearer) or self._is_signed(cookie):
            return Token.RIGHT
        return Token.WRONG if bearer or cookie else Token.MISSING

    def is_token(self, text: str) -> bool:
        """Whether this is the token; takes the same time whatever it is."""
        return self._token is not None and hmac.compare_digest(
            text.encode(errors="replace"), self._token
        )

    def cookie(self) -> str:
        """The cookie for a browser that has sent the token; it does not contain the token."""
        return f"{COOKIE}={self._signed()}; HttpOnly; SameSite=Strict; Path=/"

    def _is_signed(self, cookie: str) -> bool:
        return hmac.compare_digest(cookie.encode(), self._signed().encode())

    def _signed(self) -> str:
        return hmac.new(self._token or b"", b"status page", "sha256").hexdigest()


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _plain(host: str) -> str:
    """A host in lower case, without brackets, zone and final dot."""
    host = host.lower().strip("[]").rstrip(".").partition("%")[0]
    # A socket for IPv6 and IPv4 reports an IPv4 address as ::ffff:192.0.2.1.
    return host.removeprefix("::ffff:")
