"""A seeded fuzzer of the WebSocket port: handshakes and frames that are wrong on purpose.

Most inputs are wrong in a known way and must be answered by a known code; the others are good
ones whose bytes were shuffled, and any answer that the protocol knows will do. Input ``number``
of a ``seed`` is always the same: ``play(address, made(seed, number))`` plays one again.
"""

import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.clients import FINISHED, Address, Browser, browser, connected, task
from tests.faults.measure import milliseconds, size
from tests.faults.probe import probing
from tests.faults.service import Service, serving
from tests.faults.table import Run, case
from tests.integration.support import connected_broker
from tests.support.clients import BINARY, CLOSE, HANDSHAKE, PING, PONG, TEXT, frame

CONTINUATION = 0
ANY = frozenset((0, 1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009))
REFUSED = frozenset((400, 403, 404, 405, 414, 426, 431, 501, 503, 505))
BAD_TEXT = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok \xe2\x82", b"\x80")


@dataclass(frozen=True)
class Input:
    """What a hostile client sends, and which answers are right.

    Attributes:
        kind: in which way it is wrong.
        data: the bytes.
        codes: the close codes that may come, 0 for none.
        statuses: the answers to the handshake that may come, 0 for none.
        split: where the bytes are cut into two packets.
    """

    kind: str
    data: bytes
    codes: frozenset[int]
    statuses: frozenset[int] = frozenset((101,))
    split: int = 0


def rawly(first: int, payload: bytes, mask: bytes = b"abcd") -> bytes:
    """A short masked frame with any first byte."""
    made = frame(TEXT, payload, mask)
    return bytes([first]) + made[1:]


def begun(opcode: int, payload: bytes) -> bytes:
    """A frame that is not the message's last."""
    return bytes([opcode]) + frame(opcode, payload)[1:]


def ident(chance: random.Random) -> bytes:
    """A channel's id that is good."""
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
"""What is wrong with the frames, the code that answers it, and how they are made."""

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
"""What is wrong with the handshake: what is replaced in a good one by what."""


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
"""Fields of the handshake, and values that may be good or not: what is replaced by what."""


def made(seed: int, number: int) -> Input:
    """The input of a seed with a number."""
    chance = random.Random(seed * 1_000_003 + number)
    share = chance.random()
    if share < 0.45:
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
    # One packet is the rule; two show what waits for the rest.
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
    # A head that has lost its upgrade asks for a page.
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


def play(address: Address, one: Input, source: str = "") -> str:
    """Send an input; returns what was wrong with the answer, empty if nothing."""
    client = Browser(connected(address, source))
    try:
        if one.split:
            client.send(one.data[: one.split])
            client.read(0.001)
        client.send(one.data[one.split :])
        if 0 in one.statuses:
            _half_close(client.socket)
        client.read_to_end(5)
    finally:
        client.abort()
    if client.status not in one.statuses or client.code not in one.codes:
        return f"{one.kind}: answered by {client.status} and {client.code}"
    return "" if client.ended else f"{one.kind}: the connection was left open"


def _half_close(client: socket.socket) -> None:
    try:
        client.shutdown(socket.SHUT_WR)
    except OSError:
        return  # it has ended already


def fuzz(run: Run, service: Service, count: int, seed: int) -> Counter[str]:
    """Play so many inputs of a seed beside a client that follows a job; returns the kinds."""
    kinds: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    late = 0.0
    name = f"beside-{seed}"
    with browser(service.address, name) as beside, connected_broker(service) as broker:
        for number in range(count):
            one = made(seed, number)
            kinds[one.kind] += 1
            if problem := play(service.address, one, f"127.0.4.{number % 200 + 1}"):
                wrong[f"{problem} (first: seed {seed}, input {number})"[:200]] += 1
            if number % 200 == 0:
                began, due = time.monotonic(), len(beside.texts) + 1
                broker.send(name.encode(), b"TASK", b"%d" % (due - 1), b"COMPLETED")
                beside.read_texts(due)
                late = max(late, time.monotonic() - began)
        broker.send(name.encode(), b"FINISHED")
        beside.read_close()
        whole = beside.texts == [*map(task, range((count + 199) // 200)), FINISHED]
    run.require(whole, "the client beside them has missed messages")
    run.require(late < run.within(0.25, 2), f"the client beside them waited {late:.2f} s")
    for problem, often in list(wrong.items())[:20]:
        run.require(False, f"{often} times {problem}")
    return kinds


@case("fuzz", "hostile handshakes and frames from a seeded fuzzer, a client beside them")
def fuzzing(run: Run) -> None:
    """No traceback, the right codes, nothing left, nobody disturbed."""
    count = run.pick(100_000, 3000)
    with serving() as service:
        fuzz(run, service, 300, 1)
        service.settle(run, channels=2)
        memory, before = service.resident(), service.descriptors()
        with probing(service.address, "ping") as times:
            kinds = fuzz(run, service, count, 2)
        service.settle(run, channels=2)
        grown = service.resident() - memory
        run.require(service.descriptors() <= before, "descriptors were left open")
        run.require(grown < 8 * 2**20, f"memory grew by {size(grown)}")
        run.require(not times.failures, f"{times.failures} pings beside them failed")
        run.require(times.worst < run.within(0.1, 1), f"a ping beside took {times.worst:.3f} s")
        service.check(run)
    run.amount = f"{count} inputs: {kinds['shuffled']} shuffled, the others wrong in one of "
    run.amount += f"{len(kinds) - 1} ways"
    run.service = "answered each by the code that fits; no traceback, no object left, memory "
    run.service += f"+{size(grown)}; a ping beside took {milliseconds(times.worst)} at the worst"
