"""The engine in memory, which other tests use, does what a real server does."""

import socket
from collections.abc import Callable
from typing import Any

import hiredis
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.relay import evicting, lease, yielding
from recodex_monitor.relay.connection import EngineError, Word, packed
from recodex_monitor.relay.engine import Script
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.publisher import PUSH
from tests.support.engine import EngineServer
from tests.support.fake_engine import FakeServer
from tests.support.fake_engine import packed as word

KEYS = Keys("rx")
HELD = [KEYS.lease, KEYS.fence]
MILLISECONDS = 100_000

Command = tuple[Word | Script, ...]

TOKENS = st.sampled_from(["t1", "t2"])
HOLDERS = st.sampled_from(["t1 one", "t2 two"])
STREAMS = st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True)
IDS = st.sampled_from(["id1", "id2", "id3"])


def run(script: Script, keys: list[str], *values: Word) -> Command:
    """A script as a command."""
    return (script, len(keys), *keys, *values)


@st.composite
def streams(draw: Any) -> tuple[list[str], list[Word]]:
    """What is pushed to some streams: their keys, and the arguments."""
    keys, values = [], []
    for name in draw(STREAMS):
        texts = draw(st.lists(st.sampled_from(["x", "y", "z"]), max_size=3))
        end = draw(st.sampled_from(["-", "-", "finished"]))
        keys.append(KEYS.stream(name).decode())
        values += [draw(st.sampled_from(["7", "8"])), draw(st.integers(1, 4)), end, "failed"]
        values += [draw(st.integers(0, 1)), len(texts), *texts]
    return keys, values


@st.composite
def pushes(draw: Any) -> Command:
    """A push."""
    keys, values = draw(streams())
    head = [draw(TOKENS), MILLISECONDS, MILLISECONDS, KEYS.ends, 1000, draw(st.integers(0, 2))]
    head += [len(KEYS.channels), draw(IDS), draw(st.integers(0, 1))]
    return run(PUSH, [KEYS.fence, KEYS.late, KEYS.yielding, *keys], *head, *values)


NAMES, EPOCHS, NUMBERS = st.sampled_from("ab"), st.sampled_from("78"), st.integers(0, 5)


def take(holder: str, only_beside_fence: int = 0) -> Command:
    """Take the lease."""
    return run(lease._TAKE, HELD, holder, MILLISECONDS, only_beside_fence)


def fence(holder: str, generation: int = 0) -> Command:
    """Fence others off."""
    return run(lease._FENCE, HELD, holder, holder[:2], generation)


def append(name: str) -> Command:
    """Put an entry into the list."""
    return run(yielding._APPEND, [KEYS.late, f"rx:late:{name}"], f"{name} text", 60)


def evict(token: str, name: str, epoch: str) -> Command:
    """Evict a stream."""
    return run(evicting.EVICT, [KEYS.fence, f"rx:c:{name}"], token, epoch, MILLISECONDS // 2)


COMMANDS = st.one_of(
    pushes(),
    pushes(),
    pushes(),
    st.builds(take, HOLDERS, st.integers(0, 1)),
    st.builds(fence, HOLDERS, NUMBERS),
    st.builds(lambda token: run(lease._VERIFIED, HELD[1:], token, "run", "replication"), TOKENS),
    st.builds(lambda one: run(lease._RELEASE, HELD[:1], one), HOLDERS),
    st.builds(append, IDS),
    st.builds(evict, TOKENS, NAMES, EPOCHS),
    st.builds(lambda one: ("SADD", KEYS.yielding, one), TOKENS),
    st.builds(lambda one: ("SREM", KEYS.yielding, one), TOKENS),
    st.builds(lambda one: ("EXISTS", f"rx:tops:{one}"), TOKENS),
    st.builds(lambda one, at: ("HSET", f"rx:tops:{one}", "", 0, "a", at), TOKENS, NUMBERS),
    st.builds(lambda one: ("HGET", f"rx:tops:{one}", "a"), TOKENS),
    st.builds(lambda one, at: ("XRANGE", f"rx:c:{one}", at, "+", "COUNT", 2), NAMES, NUMBERS),
)

STATE: list[Command] = [
    ("LRANGE", KEYS.late, 0, -1),
    ("LLEN", KEYS.late),
    ("GET", KEYS.lease),
    *(("SREM", KEYS.yielding, token) for token in ("t1", "t2")),
    *(("GET", f"{KEYS.ends}{name}") for name in "ab"),
    *(("XREVRANGE", f"rx:c:{name}", "+", "-", "COUNT", 1) for name in "ab"),
    *(("XRANGE", f"rx:c:{name}", 1, "+", "COUNT", 9) for name in "ab"),
]
"""What tells everything that there is in the end."""


def timeless(reply: Any) -> Any:
    """A reply without times, which differ."""
    if isinstance(reply, list):
        if b"t" in reply[::2] and len(reply) % 2 == 0:
            pairs = dict(zip(reply[::2], reply[1::2], strict=True))
            return sorted(pairs.items() - {(b"t", pairs[b"t"])})
        return [*map(timeless, reply)]
    if isinstance(reply, bytes) and reply.count(b" ") == 4:
        return [part for at, part in enumerate(reply.split(b" ")) if at != 2]
    return reply if reply != b"" else None


class FakeTests(SynchronousTestCase):
    """Any commands in any order."""

    def setUp(self) -> None:
        """Start a server, and connect to it."""
        self.server = EngineServer().start()
        self.addCleanup(self.server.stop)
        self.link = socket.create_connection(("127.0.0.1", self.server.port), 5)
        self.addCleanup(self.link.close)
        self.reader = hiredis.Reader(replyError=EngineError)

    def real(self, command: Command) -> Any:
        """The server's reply."""
        name, *rest = command
        words: list[Any] = ["EVAL", name.text] if isinstance(name, Script) else [name]
        self.link.sendall(packed((*words, *rest)))  # type: ignore[arg-type]
        while (reply := self.reader.gets()) is False:
            self.reader.feed(self.link.recv(65536))
        return reply

    def fake(self, server: FakeServer, command: Command) -> Any:
        """The reply of the one in memory."""
        name, *rest = command
        words: list[Any] = ["EVALSHA", name.sha] if isinstance(name, Script) else [name]
        try:
            return server.do([*map(word, [*words, *rest])])
        except EngineError as error:
            return error

    def check(self, command: Command, *ask: Callable[[Command], Any]) -> None:
        """Let both do a command, and compare their replies."""
        replies = [one(command) for one in ask]
        plain = [one.code if isinstance(one, EngineError) else timeless(one) for one in replies]
        self.assertEqual(plain[0], plain[1], command)

    def test_as_a_server(self) -> None:
        """Every reply is the same, and so is everything that is there in the end."""

        @settings(
            max_examples=150,
            deadline=None,
            derandomize=True,
            database=None,
            report_multiple_bugs=False,
        )
        @given(st.lists(COMMANDS, min_size=10, max_size=40))
        def play(commands: list[Command]) -> None:
            self.real(("FLUSHALL",))
            server = FakeServer(lambda: 0.0, KEYS)
            for one in [*commands, *STATE]:
                self.check(one, self.real, lambda command: self.fake(server, command))
            nodes = [
                self.real(("SMEMBERS", KEYS.yielding)),
                self.fake(server, ("SMEMBERS", KEYS.yielding)),
            ]
            self.assertEqual(*map(sorted, nodes))

        play()
