"""Who may connect: bounds on the number of connections, and the pages that may open one."""

import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise

from recodex_monitor.settings.endpoints import parsed_ip
from recodex_monitor.settings.schema import Limits

RETRY_AFTER = 30
"""Seconds after which a client that found no place should try again."""


LOCAL = "local"
"""The address of a peer without one: it came by a Unix socket, so it is a proxy to trust."""


class Refused(Exception):
    """Why a client may not connect.

    Attributes:
        status: the HTTP status of the answer.
        reason: one of a few fixed texts.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Admission:
    """Counts who is connected, and says who may be.

    A proxy that is trusted is not counted itself: its clients are, by the address that it tells
    of them in X-Forwarded-For.
    """

    def __init__(self, limits: Limits) -> None:
        """Admit nobody yet.

        Args:
            limits: places in all and for the clients of one address, the proxies whose
                X-Forwarded-For is believed, and the origins of pages.
        """
        self._limits = limits
        self._admitted: Counter[str] = Counter()
        self._count = 0

    def admit(self, peer: str, forwarded_for: str = "", origin: str | None = None) -> str:
        """Give a client a place; returns its address, with which ``release`` takes it back.

        Args:
            peer: the address at the other end of the connection.
            forwarded_for: the value of X-Forwarded-For, which is believed from proxies only.
            origin: of the page that connects; None for a client that is no page.

        Raises:
            Refused: there is no place, or the page may not connect.
        """
        if origin is not None and not self.allows(origin):
            raise Refused(403, "origin not allowed")
        if self._count >= self._limits.max_connections:
            raise Refused(503, "too many connections")
        address = self._client(peer, forwarded_for)
        places = self._limits.max_connections_per_address
        if self._admitted[address] >= places and not self._is_trusted(address):
            raise Refused(503, "too many connections from one address")
        self._admitted[address] += 1
        self._count += 1
        return address

    def allows(self, origin: str) -> bool:
        """Whether pages of an origin may connect."""
        pattern = _pattern(self._limits.allowed_origins)
        return pattern is None or pattern.fullmatch(_without_default_port(origin)) is not None

    def release(self, address: str) -> None:
        """Take back the place of a client with this address."""
        self._count -= 1
        self._admitted[address] -= 1
        if not self._admitted[address]:
            del self._admitted[address]

    def _client(self, peer: str, forwarded_for: str) -> str:
        """The address of the client itself: the right-most that no trusted proxy has."""
        if not forwarded_for:
            return peer
        hops = [peer, *(hop.strip() for hop in reversed(forwarded_for.split(",")))]
        for nearer, hop in pairwise(hops):
            if not self._is_trusted(nearer) or not parsed_ip(hop):
                return nearer
        return hops[-1] if parsed_ip(hops[-1]) else peer

    def _is_trusted(self, address: str) -> bool:
        if address == LOCAL:
            return True
        parsed = parsed_ip(address)
        return parsed is not None and any(parsed in one for one in self._limits.trusted_proxies)


@lru_cache(maxsize=1)
def _pattern(origins: tuple[str, ...]) -> re.Pattern[str] | None:
    """What fits these origins, with ``*`` for any part of a host name; None if any does."""
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
