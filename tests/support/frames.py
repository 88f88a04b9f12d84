"""WebSocket handshakes and frames, as a browser sends and reads them."""

import struct

HANDSHAKE = (
    b"GET /ws?x=1 HTTP/1.1\r\nHost: monitor.example\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", mask: bytes | None = b"abcd") -> bytes:
    """A WebSocket frame as a browser sends it: whole and masked."""
    masked = 0x80 if mask is not None else 0
    head = struct.pack("!B", 0x80 | opcode)
    if len(payload) < 126:
        head += struct.pack("!B", masked | len(payload))
    else:
        head += struct.pack("!BH", masked | 126, len(payload))
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """The opcode and the payload of each unmasked frame; the last one must be whole."""
    found = []
    while data:
        length, start = data[1], 2
        if length == 126:
            length, start = struct.unpack("!H", data[2:4])[0], 4
        elif length == 127:
            length, start = struct.unpack("!Q", data[2:10])[0], 10
        assert len(data) >= start + length, "half a frame"
        found.append((data[0] & 15, data[start : start + length]))
        data = data[start + length :]
    return found
