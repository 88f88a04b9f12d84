"""Hostile clients of many jobs, and hostile tokens, for the fuzzer."""

import json
import random
from base64 import urlsafe_b64encode
from collections.abc import Callable

from tests.support.frames import BINARY, CLOSE, HANDSHAKE, TEXT, frame

SECRET = b"the secret of a monitor that is tried by hostile clients"
"""The key with which the fuzzed monitor checks tokens."""

_LEAVE = frame(CLOSE, b"\x03\xe8")
_TEXTS = (
    *(
        b"",
        b"x",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"follow":',
        b'{"follow": 1e999}',
        b"\xef\xbb\xbf{}",
    ),
    *(b"[" * 4000, b'{"a":' * 700, b"1" * 4000, b"-" * 4000, b'"' + b"\\u0000" * 600 + b'"'),
    *(b'{"follow": "a", "follow": 1}', b'{"follow": "a", "unfollow": "a"}', b'{"token": null}'),
    *(b'{"follow": "a", "after": {}}', b'{"unfollow": ["a"]}', b'{"token": ""}', b"NaN"),
    b"\xef\xbb\xbf{}",
)
_IDS = (
    *("", "\0", "\ud800", "\udfff\ud800", "x" * 513, "\u017d" * 600, "{}", "a\r\nb", "__proto__"),
    *("*", "\u202e", "e:1", "'; --", "\U0001f600" * 100),
)
_HEADS = (
    *(b"", b"{", b"[" * 2000, b"null", b'{"alg": "none"}', b'{"alg": "HS256"}', b'{"alg": []}'),
    *(b'{"alg": "HS256", "crit": ["x"]}', b'{"alg": "HS256", "b64": false}', b'"' * 500, b"\xff"),
)


def token(chance: random.Random) -> str:
    """A text that is no valid token, but may look like one."""
    part = [urlsafe_b64encode(chance.choice(_HEADS)).rstrip(b"=").decode() for _ in range(3)]
    return chance.choice(("x", "..", ".".join(part), ".".join(part[:2]) + ".", "a.b.c.d.e", "="))


def _ask(**request: object) -> bytes:
    return frame(TEXT, json.dumps(request).encode())


def _requests(chance: random.Random) -> bytes:
    asked = (
        lambda: frame(TEXT, chance.choice(_TEXTS)),
        lambda: _ask(follow=chance.choice(_IDS)),
        lambda: _ask(follow=f"fuzz-{chance.randrange(4)}", after=chance.choice(_IDS)),
        lambda: _ask(unfollow=f"fuzz-{chance.randrange(4)}"),
        lambda: _ask(token=token(chance)),
    )
    return b"".join(chance.choice(asked)() for _ in range(chance.randrange(1, 60)))


def _jobs(frames: bytes, query: bytes = b"jobs") -> bytes:
    return HANDSHAKE.replace(b"x=1", query) + frames + _LEAVE


def _authorization(chance: random.Random) -> bytes:
    value = chance.choice((f"Bearer {token(chance)}", f"bearer  {token(chance)}")).encode()
    return HANDSHAKE.replace(b"Host:", b"Authorization: %b\r\nHost:" % value) + frame(TEXT, b"a")


def _fragments(chance: random.Random) -> bytes:
    empty = b"\0" + frame(0)[1:]
    return _jobs(bytes((TEXT,)) + frame(TEXT)[1:] + empty * chance.randrange(2001, 2500))


JOBS: dict[str, tuple[int, Callable[[random.Random], bytes]]] = {
    "jobs, any requests": (1000, lambda c: _jobs(_requests(c))),
    "jobs, wrong token": (
        1000,
        lambda c: _jobs(_requests(c), b"jobs&token=%b" % token(c).encode()),
    ),
    "jobs, binary": (1003, lambda c: _jobs(_ask(follow="a") + frame(BINARY, c.randbytes(50)))),
    "jobs, long": (1009, lambda c: _jobs(frame(TEXT, b" " * c.randrange(4097, 9000)))),
    "jobs, too many": (1008, lambda c: _jobs(_ask(unfollow="a") * c.randrange(2001, 2500))),
    "jobs, too much": (1008, lambda c: _jobs(frame(TEXT, b" " * 4096) * 300)),
    "jobs, fragments": (1008, _fragments),
    "wrong token": (
        1008,
        lambda c: (
            HANDSHAKE.replace(b"x=1", b"token=%b" % token(c).encode()) + frame(TEXT, b"a") + _LEAVE
        ),
    ),
    "wrong bearer": (1008, _authorization),
}
"""Hostile clients: by kind, the close code that they get, and all that they send."""
