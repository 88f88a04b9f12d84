"""Who may see the status: the names it answers to, and the token."""

import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

COOKIE = "recodex_monitor_status"
"""The cookie of a browser that has signed in."""


class Access:
    """Says whether a request may be answered."""

    def __init__(self, hosts: Iterable[str], token: str | None) -> None:
        """Answer to these, and to localhost.

        Args:
            hosts: names and addresses by which the listener is called.
            token: what a client must know; None where whoever connects may see all.
        """
        self._hosts = {"localhost", *(_plain(host) for host in hosts)}
        self._token = token.encode() if token is not None else None

    def knows_host(self, header: str, local: str) -> bool:
        """Whether a request was meant for us.

        A page whose own name somebody let point to this machine has that name in its requests.

        Args:
            header: the value of Host.
            local: the address at which the connection has come in; empty where it has none.
        """
        host = header.rpartition("]")[0] if header.startswith("[") else header.partition(":")[0]
        return bool(host) and _plain(host) in {*self._hosts, _plain(local)}

    def admits(self, authorization: str, cookies: str) -> bool:
        """Whether a client with these headers may see the ids of jobs."""
        if self._token is None:
            return True
        scheme, _, bearer = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.is_token(bearer.strip()):
            return True
        return hmac.compare_digest(_cookie(cookies).encode(), self._signed().encode())

    def is_token(self, text: str) -> bool:
        """Whether this is the token; takes the same time whatever it is."""
        return self._token is not None and hmac.compare_digest(
            text.encode(errors="replace"), self._token
        )

    def cookie(self) -> str:
        """What makes a browser known that has sent the token, without the token in it."""
        return f"{COOKIE}={self._signed()}; HttpOnly; SameSite=Strict; Path=/"

    def _signed(self) -> str:
        return hmac.new(self._token or b"", b"status page", "sha256").hexdigest()


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _plain(host: str) -> str:
    """A host without what it may be written with."""
    host = host.lower().strip("[]").rstrip(".").partition("%")[0]
    # A socket that takes both kinds tells of IPv4 as ::ffff:192.0.2.1.
    return host.removeprefix("::ffff:")
