"""Ids of messages, by which clients resume."""

import re

from recodex_monitor.channels.channel import Channel

_EVENT_ID = re.compile(r"([A-Za-z0-9_-]+):([1-9][0-9]{0,9})")


def count_at(channel: Channel, event_id: str) -> int | None:
    """The messages up to the one with this id; None if the channel has no such message."""
    found = _EVENT_ID.fullmatch(event_id)
    if found is None or found[1] != channel.epoch:
        return None
    count = int(found[2])
    return count if channel.skipped <= count <= channel.count else None
