"""What a client of many channels asks for: one JSON object in each of its messages."""

import json
from typing import NamedTuple


class Follow(NamedTuple):
    """Follow a channel: after the message with the id ``after``, or from the first if empty."""

    channel_id: str
    after: str


class Unfollow(NamedTuple):
    """Stop following a channel."""

    channel_id: str


class Show(NamedTuple):
    """Show a token."""

    token: str


class Malformed(NamedTuple):
    """A request that is not understood; with its channel, if that is known."""

    channel_id: str | None


Request = Follow | Unfollow | Show | Malformed

_KEYS = ("follow", "unfollow", "token")


def parse(text: str) -> Request:
    """Parse a client's message, whatever it is."""
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        return Malformed(None)
    found = [key for key in _KEYS if key in asked] if isinstance(asked, dict) else []
    if len(found) != 1 or not isinstance(asked[found[0]], str) or asked.get("token") == "":
        return Malformed(None)
    value: str = asked[found[0]]
    if found == ["follow"]:
        return _follow(value, asked.get("after"))
    return Unfollow(value) if found == ["unfollow"] else Show(value)


def _follow(channel_id: str, after: object) -> Request:
    if after is None:
        return Follow(channel_id, "")
    return Follow(channel_id, after) if isinstance(after, str) else Malformed(channel_id)
