"""Which clients may connect: limits on the number of connections, and origins of pages."""

import re
from collections import Counter
from functools import lru_cache

from recodex_monitor.clients.forwarded import (
    Source,
    canonical,
    client_addresses,
    is_own_origin,
)
from recodex_monitor.settings.endpoints import parsed_ip
from recodex_monitor.settings.schema import LiveSettings

RETRY_AFTER = 30
"""Seconds after which a client that was refused by a limit should try again."""

MAX_ORIGIN = 200
"""Characters of a refused origin that are logged and shown."""

LOCAL = "local"
"""Stands for the address of a peer on a Unix socket, which is a trusted proxy."""

_OTHER_ORIGIN = (
    "Pages of this origin may not connect. If they should, the monitor's setting allowed_origins "
    "must list it."
)
_CROWDED = (
    "{address} already has {limit} connections, which max_connections_per_address allows. So many "
    "followers of one address look like a proxy. If it is one: list it in the monitor's setting "
    "trusted_proxies, and let it send X-Forwarded-For (or Forwarded) with each client's address."
)
_TOKEN = (
    "The token is not accepted ({detail}). A follower needs one as token in the query, or in the "
    "header Authorization: Bearer."
)
_TOO_MANY = "There are too many connections. Try again later."

NOWHERE = Source()
"""A request without any header that says where it comes from."""


class Refused(Exception):
    """A client may not connect.

    Attributes:
        status: the HTTP status of the answer.
        reason: one of a few fixed texts, for the log and for statistics.
        text: tells the client why, and what would be right; quotes nothing of its request.

    As a text it is what the log says, with what this one was refused for.
    """

    def __init__(self, status: int, reason: str, text: str = "", detail: str = "") -> None:
        super().__init__(detail or reason)
        self.status = status
        self.reason = reason
        self.text = text or f"{reason[0].upper()}{reason[1:]}."


class Unauthorized(Refused):
    """A client may not follow, because of its token.

    Attributes:
        detail: why; see ``tokens.TokenRefused``.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(401, f"token: {detail}", _TOKEN.format(detail=detail))
        self.detail = detail


class OtherOrigin(Refused):
    """A page may not connect, because its origin is not allowed.

    Attributes:
        origin: of the page.
    """

    def __init__(self, origin: str) -> None:
        reason = "origin not allowed"
        super().__init__(403, reason, _OTHER_ORIGIN, f"{reason}: {origin[:MAX_ORIGIN]!a}")
        self.origin = origin


def crowded(address: str, limit: int) -> Refused:
    """The refusal of a client whose address has reached its limit."""
    reason = "too many connections from one address"
    text = _CROWDED.format(address=address, limit=limit)
    return Refused(503, reason, text, f"{reason}: {text}")


class Admission:
    """Admits clients up to the limits.

    The clients of a trusted proxy are counted by their own addresses, which it reports in
    X-Forwarded-For or Forwarded; the proxy itself is not limited.
    """

    def __init__(self, settings: LiveSettings) -> None:
        """Begin without clients.

        Args:
            settings: have the limits in total and for an address, the trusted proxies and the
                allowed origins.
        """
        self._settings = settings
        self._admitted: Counter[str] = Counter()
        self._count = 0

    def admit(self, peer: str, source: Source = NOWHERE) -> str:
        """Admit a client; returns its address, to be given to ``release`` at its end.

        Args:
            peer: the address at the other end of the connection.
            source: says where the request comes from; counts from trusted proxies only.

        Raises:
            Refused: there are too many connections.
        """
        if self._count >= self._settings.limits.max_connections:
            raise Refused(503, "too many connections", _TOO_MANY)
        address = self._client_address(peer, source)
        limit = self._settings.limits.max_connections_per_address
        if self._admitted[address] >= limit and not self.is_trusted(address):
            raise crowded(address, limit)
        self._admitted[address] += 1
        self._count += 1
        return address

    def allows(self, peer: str, source: Source, *, is_secure: bool = False) -> bool:
        """Whether a page may connect: its origin is allowed, or it comes from the monitor itself.

        Args:
            peer: the address at the other end of the connection.
            source: has the origin of the page.
            is_secure: whether the connection uses TLS.
        """
        pattern = _pattern(self._settings.limits.allowed_origins)
        if pattern is None or pattern.fullmatch(_without_default_port(source.origin)):
            return True
        is_proxied = self.is_trusted(peer)
        return is_own_origin(source, is_secure=is_secure, is_proxied=is_proxied)

    def allows_all(self) -> bool:
        """Whether pages of any origin may connect."""
        return "*" in self._settings.limits.allowed_origins

    def lists(self, origin: str) -> bool:
        """Whether this origin is listed, by its name or a pattern of it; not by ``*``, for all."""
        listed = tuple(one for one in self._settings.limits.allowed_origins if one != "*")
        pattern = _pattern(listed) if listed else None
        return pattern is not None and pattern.fullmatch(_without_default_port(origin)) is not None

    def release(self, address: str) -> None:
        """Note that an admitted client with this address has gone."""
        self._count -= 1
        self._admitted[address] -= 1
        if not self._admitted[address]:
            del self._admitted[address]

    def _client_address(self, peer: str, source: Source) -> str:
        """The client's own address: the nearest one that is not a trusted proxy's.

        Where a proxy hides the address of its peer, the proxy's own stands for it.
        """
        address = canonical(peer) if ":" in peer else peer
        if (source.x_forwarded_for or source.forwarded) and self.is_trusted(address):
            for behind in client_addresses(source):
                if behind is None:
                    break
                address = behind
                if not self.is_trusted(address):
                    break
        return address

    def is_trusted(self, address: str) -> bool:
        """Whether this is the address of a trusted proxy."""
        if address == LOCAL:
            return True
        parsed = parsed_ip(address)
        return parsed is not None and any(
            parsed in one for one in self._settings.limits.trusted_proxies
        )


@lru_cache(maxsize=2)
def _pattern(origins: tuple[str, ...]) -> re.Pattern[str] | None:
    """Matches these origins, with ``*`` for any part of a host name; None if all are allowed."""
    if "*" in origins:
        return None
    alternatives = (
        re.escape(_without_default_port(origin)).replace(r"\*", "[^/:@]+") for origin in origins
    )
    return re.compile("|".join(alternatives))


def _without_default_port(origin: str) -> str:
    origin = origin.lower()
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if origin.startswith(scheme):
            return origin.removesuffix(port)
    return origin
