"""WebSocket frames (RFC 6455, section 5): the one kind that we send, and the one kind we get.

Whatever is not a small, whole frame of a browser is left to Autobahn.
"""

from struct import pack

TEXT, CLOSE, PONG = 0x81, 0x88, 0x8A
"""The first bytes of whole frames of text, close and pong."""


def text_frame(payload: bytes) -> bytes:
    """An unmasked frame with a whole text message."""
    length = len(payload)
    if length < 126:
        return pack("!BB", TEXT, length) + payload
    if length < 65536:
        return pack("!BBH", TEXT, 126, length) + payload
    return pack("!BBQ", TEXT, 127, length) + payload


def lone_frame(data: bytes) -> tuple[int, bytes] | None:
    """The first byte and the payload of a masked frame of less than 126 bytes.

    None where the data is anything else, or more, or less than that.
    """
    length = len(data) - 6
    if not 0 <= length < 126 or data[1] != 0x80 | length:
        return None
    mask = data[2:6] * (length // 4 + 1)
    unmasked = int.from_bytes(data[6:], "big") ^ int.from_bytes(mask[:length], "big")
    return data[0], unmasked.to_bytes(length, "big")
