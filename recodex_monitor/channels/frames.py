"""WebSocket text frames (RFC 6455, section 5), of which the logs of channels consist."""

from collections.abc import Iterator
from struct import pack

TEXT = 0x81
"""The first byte of an unfragmented text frame: FIN and the opcode."""

_HEADS = [bytes((TEXT, length)) for length in range(126)]


def text_frame(payload: bytes) -> bytes:
    """A text message as one unmasked frame."""
    length = len(payload)
    if length < 126:
        return _HEADS[length] + payload
    if length < 65536:
        return pack("!BBH", TEXT, 126, length) + payload
    return pack("!BBQ", TEXT, 127, length) + payload


def spans(log: bytes | bytearray, start: int = 0, stop: int | None = None) -> Iterator[slice]:
    """Where in a log the payloads of its frames are, found from header to header.

    Args:
        log: frames as text_frame makes them.
        start: where to begin; a frame must begin there.
        stop: where to stop; a frame must end there. None for the end of the log.
    """
    stop = len(log) if stop is None else stop
    while start < stop:
        length, start = log[start + 1], start + 2
        if length > 125:
            size = 2 if length == 126 else 8
            length, start = int.from_bytes(log[start : start + size], "big"), start + size
        yield slice(start, start + length)
        start += length
