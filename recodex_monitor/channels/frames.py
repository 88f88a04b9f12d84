"""WebSocket frames (RFC 6455, section 5): the kind that we send, and the kind that we get.

Whatever is not a small, whole frame of a browser is left to Autobahn.
"""

from collections.abc import Iterator
from struct import pack

TEXT, CLOSE, PONG = 0x81, 0x88, 0x8A
"""The first bytes of whole frames of text, close and pong."""

_HEADS = [bytes((TEXT, length)) for length in range(126)]


def text_frame(payload: bytes) -> bytes:
    """An unmasked frame with a whole text message."""
    length = len(payload)
    if length < 126:
        return _HEADS[length] + payload
    if length < 65536:
        return pack("!BBH", TEXT, 126, length) + payload
    return pack("!BBQ", TEXT, 127, length) + payload


def spans(log: bytes | bytearray, start: int = 0, stop: int | None = None) -> Iterator[slice]:
    """Where the payloads of text frames lie, hopping from head to head.

    Args:
        log: frames as text_frame makes them.
        start: where a frame begins.
        stop: where a frame ends; None for the log's end.
    """
    stop = len(log) if stop is None else stop
    while start < stop:
        length, start = log[start + 1], start + 2
        if length > 125:
            size = 2 if length == 126 else 8
            length, start = int.from_bytes(log[start : start + size], "big"), start + size
        yield slice(start, start + length)
        start += length


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
