"""Messages of a broker."""

from recodex_monitor.channels.message import Message, parse


def message(channel_id: str, *frames: str) -> Message:
    """The message that these frames of a broker make."""
    return parse([frame.encode() for frame in (channel_id, *frames)])
