"""Invalid handshakes and frames for the fuzzer.

Most inputs are invalid in a known way and must be answered by a known code. The others are valid
ones with shuffled bytes, for which any answer of the protocol is right. Input ``number`` of a
``seed`` is always the same.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.fuzz_jobs import JOBS
from tests.support.frames import BINARY, CLOSE, HANDSHAKE, PING, PONG, TEXT, frame

CONTINUATION = 0
ANY = frozenset((0, 1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009))
REFUSED = frozenset((400, 403, 404, 405, 414, 426, 431, 501, 503, 505))
BAD_TEXT = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok \xe2\x82", b"\x80")


@dataclass(frozen=True)
class Input:
    """What a hostile client sends, and which answers are right.

    Attributes:
        kind: in which way it is invalid.
        data: the bytes.
        codes: the close codes that are right, 0 for none.
        statuses: the HTTP statuses that are right, 0 for none.
        split: where the bytes are split into two packets; 0 for one packet.
    """

    kind: str
    data: bytes
    codes: frozenset[int]
    statuses: frozenset[int] = frozenset((101,))
    split: int = 0


def rawly(first: int, payload: bytes, mask: bytes = b"abcd") -> bytes:
    """A short masked frame with this first byte."""
    made = frame(TEXT, payload, mask)
    return bytes([first]) + made[1:]


def begun(opcode: int, payload: bytes) -> bytes:
    """A frame that is not the last one of its message."""
    return bytes([opcode]) + frame(opcode, payload)[1:]


def ident(chance: random.Random) -> bytes:
    """A valid channel id."""
    return b"student_%032x" % chance.getrandbits(128)


Frames = Callable[[random.Random], bytes]


def _pieces(chance: random.Random) -> bytes:
    pieces = [begun(TEXT, b"x" * 200)]
    pieces += [begun(CONTINUATION, b"y" * chance.randrange(100, 126)) for _ in range(40)]
    return b"".join(pieces) + frame(CONTINUATION, b"z")


WRONG: dict[str, tuple[int, Frames]] = {
    "reserved opcode": (1002, lambda c: rawly(0x80 | c.choice((3, 4, 5, 6, 7, 11, 15)), b"x")),
    "reserved bits": (1002, lambda c: rawly(0x81 | c.choice((0x20, 0x10, 0x30)), ident(c))),
    "not masked": (1002, lambda c: frame(TEXT, ident(c), None)),
    "control in pieces": (1002, lambda c: begun(c.choice((PING, PONG, CLOSE)), b"")),
    "long control": (1002, lambda c: frame(c.choice((PING, PONG)), b"x" * c.randrange(126, 300))),
    "continues nothing": (1002, lambda c: frame(CONTINUATION, ident(c))),
    "begins twice": (1002, lambda c: begun(TEXT, b"a") + frame(TEXT, ident(c))),
    "length in 2 for 1": (1002, lambda _: b"\x81\xfe\x00\x05abcdxxxxx"),
    "length in 8 for 2": (1002, lambda _: b"\x81\xff" + bytes(6) + b"\x01\x00abcd" + b"x" * 256),
    "length beyond 2^63": (1002, lambda c: b"\x81\xff" + b"\xff" * 8 + b"abcd"),
    "not UTF-8": (1007, lambda c: frame(TEXT, ident(c) + c.choice(BAD_TEXT))),
    "UTF-8 cut by the end": (1007, lambda _: begun(TEXT, b"\xe2\x82") + frame(CONTINUATION, b"x")),
    "binary": (1003, lambda c: frame(BINARY, c.randbytes(c.randrange(1, 500)))),
    "empty id": (1008, lambda _: frame(TEXT)),
    "long id": (1009, lambda c: frame(TEXT, b"x" * c.randrange(513, 4000))),
    "long message": (1009, lambda c: frame(TEXT, b"x" * c.randrange(5000, 60_000))),
    "huge length": (
        1009,
        lambda c: b"\x81\xff" + c.randrange(2**17, 2**62).to_bytes(8, "big") + b"abcd",
    ),
    "long in pieces": (1009, _pieces),
    "close of one byte": (1002, lambda c: frame(CLOSE, c.randbytes(1))),
    "close code": (
        1002,
        lambda c: frame(CLOSE, c.choice((0, 999, 1004, 1005, 1006, 1015, 2999)).to_bytes(2, "big")),
    ),
    "close reason": (1007, lambda c: frame(CLOSE, b"\x03\xe8" + c.choice(BAD_TEXT))),
    "talks on": (1008, lambda c: frame(TEXT, ident(c)) + frame(TEXT, b"more") * 150),
    "good": (
        1000,
        lambda c: (
            begun(TEXT, b"a")
            + frame(PING, b"?")
            + frame(CONTINUATION, ident(c))
            + frame(CLOSE, b"\x03\xe8")
        ),
    ),
}
"""Invalid frames: by kind, the close code that answers them, and how they are made."""

HEADS: dict[str, tuple[bytes, bytes]] = {
    "no upgrade": (b"Upgrade: websocket\r\n", b""),
    "other upgrade": (b"Upgrade: websocket", b"Upgrade: h2c"),
    "no connection": (b"Connection: Upgrade\r\n", b""),
    "no key": (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "short key": (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl"),
    "no host": (b"Host: monitor.example\r\n", b""),
    "version": (b"Version: 13", b"Version: 99"),
    "no version": (b"Sec-WebSocket-Version: 13\r\n", b""),
    "version word": (b"Version: 13", b"Version: x"),
    "method": (b"GET ", b"POST "),
    "HTTP/1.0": (b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/9": (b"HTTP/1.1", b"HTTP/9"),
    "no protocol": (b" HTTP/1.1", b""),
    "two keys": (b"Host:", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nHost:"),
    "too long": (b"Host:", b"X-Long: " + b"x" * 40_000 + b"\r\nHost:"),
    "many fields": (b"Host:", b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"Host:"),
}
"""Invalid handshakes: by kind, what is replaced in a valid one, and by what."""


ADDRESSES = (
    *(b"", b",,,", b"unknown", b"1.2.3.4:80", b"[::1]:80", b"::ffff:1.2.3.4", b"fe80::1%eth0"),
    *(b"999.1.1.1", b"\xff\xfe", b"1.2.3.4, ", b"a" * 4000, b"," * 8000, b"1.2.3.4, " * 900),
)
URLS = (
    *(b"", b"null", b"http://[", b"http://[::1", b"http://x:99999999", b"http://x:-1", b"http://"),
    *(b"http://\xff", b"http://a:b:c", b"file:///etc", b"https://x.example:443", b"//x", b"*"),
    *(b"http://" + b"x." * 4000, b"http://x\x00y", b"http://%zz", "http://\u0130.example".encode()),
)
HOSTS = (
    b"",
    b"[::1",
    b"[::1]:99999",
    b"a:b",
    b"a:-1",
    b"a:65536",
    b"\xff",
    b":",
    b"a b",
    b"x" * 5000,
)
PATHS = (
    *(
        b"/%ff",
        b"/%",
        b"//x",
        b"*",
        b"http://[",
        b"http://x:y/",
        b"/?after=%ff",
        b"/?a" + b"&b" * 900,
    ),
    *(b"/#x", b"", b"/\xff", b"/?redirect=http://x&after=1", b"x", b"/" + b"../" * 900, b"/\x00"),
)
FIELDS: dict[str, tuple[bytes, bytes, tuple[bytes, ...]]] = {
    "odd address": (b"Host:", b"X-Forwarded-For: %b\r\nHost:", ADDRESSES),
    "odd origin": (b"Host:", b"Origin: %b\r\nHost:", URLS),
    "odd host": (b"monitor.example", b"%b", HOSTS),
    "odd path": (b"/ws?x=1", b"%b", PATHS),
    "odd protocol": (b"Host:", b"Sec-WebSocket-Protocol: %b\r\nHost:", HOSTS),
    "odd extension": (b"permessage-deflate", b"%b", (*HOSTS, b"x;y=", b"a;" * 2000, b"x=;,")),
}
"""Odd values of header fields, valid or not: by kind, what is replaced, and by what."""


def made(seed: int, number: int) -> Input:
    """The input with a number, of a seed."""
    chance = random.Random(seed * 1_000_003 + number)
    share = chance.random()
    if share < 0.08:
        kind = chance.choice(tuple(JOBS))
        code, whole = JOBS[kind]
        data = whole(chance)
        one = Input(kind, data, frozenset((code,)), split=chance.randrange(len(data)))
    elif share < 0.45:
        kind = chance.choice(tuple(WRONG))
        code, frames = WRONG[kind]
        data = HANDSHAKE + frames(chance)
        one = Input(kind, data, frozenset((code,)), split=chance.randrange(len(data)))
    elif share < 0.55:
        one = _odd(chance)
    elif share < 0.7:
        kind = chance.choice(tuple(HEADS))
        data = HANDSHAKE.replace(*HEADS[kind]) + frame(TEXT, ident(chance))
        one = Input(kind, data, frozenset((0,)), REFUSED)
    else:
        one = _shuffled(chance)
    # Mostly one packet; two test how the service waits for the rest.
    return one if chance.random() < 0.2 else Input(one.kind, one.data, one.codes, one.statuses)


def _odd(chance: random.Random) -> Input:
    kind = chance.choice(tuple(FIELDS))
    old, new, values = FIELDS[kind]
    data = HANDSHAKE.replace(old, new % chance.choice(values)) + frame(TEXT, ident(chance))
    return Input(kind, data + frame(CLOSE, b"\x03\xe8"), ANY, REFUSED | {0, 101})


def _shuffled(chance: random.Random) -> Input:
    frames = b"".join(
        (
            frame(TEXT, ident(chance)),
            frame(PING, chance.randbytes(5)),
            WRONG[chance.choice(tuple(WRONG))][1](chance)[:2000],
        )
    )
    head = HANDSHAKE if chance.random() < 0.7 else _shuffle(chance, HANDSHAKE)
    data = head + _shuffle(chance, frames)
    # A head that has lost its upgrade is a request for a page.
    statuses = REFUSED | {0, 101, 200}
    return Input("shuffled", data, ANY, statuses, chance.randrange(len(data)))


def _shuffle(chance: random.Random, data: bytes) -> bytes:
    mutable = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        place, length = chance.randrange(len(mutable) + 1), chance.randrange(1, 9)
        how = chance.randrange(4)
        if how == 0:
            mutable[place : place + length] = chance.randbytes(min(length, len(mutable) - place))
        elif how == 1:
            del mutable[place : place + length]
        elif how == 2:
            mutable[place:place] = chance.randbytes(length)
        else:
            mutable[place:place] = mutable[place : place + 10 * length]
    return bytes(mutable)
