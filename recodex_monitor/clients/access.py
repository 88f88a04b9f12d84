"""Who may follow what: tokens, and the end of what is followed with one.

Without keys (section ``access``) everybody may follow every channel whose id they know.
"""

import time
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from recodex_monitor.network.tokens import Key, Token, TokenRefused, decode, read_keys
from recodex_monitor.settings import schema
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import TimeSlices
from recodex_monitor.timing.throttle import ThrottledCounts

_BEARER = "bearer "


class Expiring(Protocol):
    """What is followed with a token."""

    def expired(self) -> None:
        """Called when the token has expired: follow no longer."""


class Access:
    """Checks tokens, and ends what is followed with them when they expire.

    Attributes:
        is_on: there are keys.
        is_required: nobody follows without a token.
    """

    def __init__(
        self, clock: Clock, refused: ThrottledCounts, wall: Callable[[], float] = time.time
    ) -> None:
        """Begin without keys.

        Args:
            clock: calls later.
            refused: counts refusals.
            wall: tells the Unix time.
        """
        self.is_on = self.is_required = False
        self._keys: tuple[Key, ...] = ()
        self._refused = refused
        self._wall = wall
        self._ends: dict[Expiring, float] = {}
        self._heap: list[tuple[float, int, Expiring]] = []
        self._number = count()
        self.sweep = TimeSlices(clock, self._sweep_steps)
        """Ends what is followed with tokens that have expired; call it every second."""

    def read(self, settings: schema.Access) -> Callable[[], None]:
        """Read the keys; returns a function that puts them in force.

        Raises:
            ConfigError: they cannot be used.
        """
        keys = read_keys(settings)

        def take() -> None:
            self._keys = keys
            self.is_on, self.is_required = bool(keys), settings.required

        return take

    def token(self, text: str) -> Token | None:
        """What a token says; None for an empty text, where tokens are not required.

        Raises:
            TokenRefused: it is not accepted, or missing.
        """
        if not self.is_on:
            return None
        try:
            if text:
                return decode(text, self._keys)
            if self.is_required:
                raise TokenRefused("missing")
        except TokenRefused as refused:
            raise self._counted(refused.detail) from None
        return None

    def check(self, token: Token | None, channel_id: str) -> None:
        """Check whether a channel may be followed with a token that was accepted, or without one.

        Raises:
            TokenRefused: it may not.
        """
        if token is None:
            if self.is_required:
                raise self._counted("missing")
        elif token.expires <= self._wall():
            raise self._counted("expired")
        elif not token.covers(channel_id):
            raise self._counted("channel")

    def _counted(self, detail: str) -> TokenRefused:
        self._refused.add(f"token: {detail}", f"its token ({detail})")
        return TokenRefused(detail)

    def begin(self, one: Expiring, token: Token | None) -> None:
        """End what is followed from now on when its token expires."""
        if token is not None:
            self._ends[one] = token.expires
            heappush(self._heap, (token.expires, next(self._number), one))

    def extend(self, one: Expiring, token: Token) -> None:
        """End what is followed with another token when this one expires, if that is later."""
        if token.expires > self._ends.get(one, token.expires):
            self.begin(one, token)

    def discard(self, one: Expiring) -> None:
        """Note that something is no longer followed."""
        self._ends.pop(one, None)
        if len(self._heap) > 64 + 2 * len(self._ends):
            kept = [entry for entry in self._heap if self._ends.get(entry[2]) == entry[0]]
            self._heap = sorted(kept)

    def _sweep_steps(self) -> Iterator[None]:
        while self._heap and self._heap[0][0] <= self._wall():
            expires, _, one = heappop(self._heap)
            if self._ends.get(one) == expires:
                del self._ends[one]
                one.expired()
                yield


def given_token(target: str, authorization: str) -> str:
    """The token of a request; empty if there is none.

    Args:
        target: may have it as ``token`` in its query.
        authorization: the value of the header Authorization, which takes precedence.
    """
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    if "token=" not in target:
        return ""
    try:
        found = parse_qs(urlsplit(target).query, max_num_fields=1000).get("token", [""])
    except ValueError:
        return ""
    return found[-1]


def token_of(access: Access, request: Any, channel_id: str | None = None) -> Token | None:
    """The token of a request over plain HTTP, which covers the channel, if one is given.

    Raises:
        TokenRefused: it is missing or not accepted.
    """
    if not access.is_on:
        return None
    authorization = (request.getHeader(b"Authorization") or b"").decode("latin-1")
    token = access.token(given_token(request.uri.decode("latin-1"), authorization))
    if channel_id is not None:
        access.check(token, channel_id)
    return token


def may_follow(access: Access, request: Any, channel_id: str) -> bool:
    """Whether the token of a request over plain HTTP lets it follow a channel."""
    try:
        token_of(access, request, channel_id)
    except TokenRefused:
        return False
    return True
