"""An engine in memory: a server that does what ``push.lua`` and the commands in use do.

Commands wait in the order of their connection until the test lets the server go on, so a test
decides what happens between a command and its reply. An integration test compares it with a real
server.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, fail

from recodex_monitor.relay import evicting, lease, yielding
from recodex_monitor.relay.connection import EngineAway, EngineError, Word
from recodex_monitor.relay.dialing import Facts, Session
from recodex_monitor.relay.layout import Keys
from recodex_monitor.relay.publisher import PUSH
from recodex_monitor.settings.engines import EngineAddress

Entry = tuple[int, str, dict[bytes, bytes]]
"""An entry of a stream: its number, its epoch, and its fields."""


class FakeServer:
    """The server.

    Attributes:
        connections: that are open.
        is_up: whether it accepts connections and replies.
        data: what it has.
        run: of the server.
    """

    def __init__(self, now: Callable[[], float], keys: Keys) -> None:
        """Be empty; ``now`` tells the time in seconds."""
        self._now = now
        self._keys = keys
        self.connections: list[FakeConnection] = []
        self.is_up = True
        self.data: dict[bytes, Any] = {}
        self.expires: dict[bytes, float] = {}
        self.run = 1
        self.started_at = -1000.0
        self.scripts: dict[str, Callable[[list[bytes], list[bytes]], Any]] = {
            PUSH.sha: self._push,
            lease._TAKE.sha: self._take,
            lease._FENCE.sha: self._fence,
            lease._VERIFIED.sha: self._verified,
            lease._RELEASE.sha: self._release,
            yielding._APPEND.sha: self._append,
            evicting.EVICT.sha: self._evict,
        }

    @property
    def uptime(self) -> int:
        """Seconds since its start."""
        return int(self._now() - self.started_at)

    def step(self) -> bool:
        """Do the next command of the connection that waits longest; False if there is none."""
        if not self.is_up:
            return False
        for one in self.connections:
            if one.waiting:
                # Others come first then.
                self.connections.remove(one)
                self.connections.append(one)
                one.serve()
                return True
        return False

    def cut(self) -> None:
        """End all connections."""
        for one in tuple(self.connections):
            one.abort()

    def restart(self, data: dict[bytes, Any], expires: dict[bytes, float]) -> None:
        """Begin anew with this data."""
        self.cut()
        self.run += 1
        self.started_at = self._now()
        self.data, self.expires = data, expires

    def copy(self) -> tuple[dict[bytes, Any], dict[bytes, float]]:
        """What it has now."""
        kept = {key: _copied(value) for key, value in self.data.items()}
        return kept, dict(self.expires)

    def do(self, words: list[bytes]) -> Any:
        """The reply to a command."""
        for key, at in tuple(self.expires.items()):
            if self._now() >= at:
                self.data.pop(key, None)
                del self.expires[key]
        name = words[0].decode().lower()
        reply: Any = getattr(self, f"_do_{name}")(*words[1:])
        return reply

    def stream(self, key: bytes) -> list[Entry]:
        """The entries of a stream."""
        found: list[Entry] = self.data.get(key, [])
        return found

    def _do_role(self) -> Any:
        return [b"master"]

    def _do_info(self) -> Any:
        return b"role:master\r\nused_memory:1\r\n"

    def _do_time(self) -> Any:
        return [b"%d" % int(self._now()), b"0"]

    def _do_evalsha(self, sha: bytes, count: bytes, *rest: bytes) -> Any:
        keys = int(count)
        return self.scripts[sha.decode()](list(rest[:keys]), list(rest[keys:]))

    def _do_xrange(self, key: bytes, first: bytes, _: bytes, __: bytes, count: bytes) -> Any:
        found = [one for one in self.stream(key) if one[0] >= int(first)]
        return [*map(_told, found[: int(count)])]

    def _do_xrevrange(self, key: bytes, *_: bytes) -> Any:
        return [*map(_told, self.stream(key)[-1:])]

    def _do_scan(self, *_: bytes) -> Any:
        prefix = self._keys.channels.encode()
        return [b"0", [key for key in self.data if key.startswith(prefix)]]

    def _do_rpush(self, key: bytes, value: bytes) -> Any:
        self.data.setdefault(key, []).append(value)
        return len(self.data[key])

    def _do_lrange(self, key: bytes, first: bytes, last: bytes) -> Any:
        return self.data.get(key, [])[int(first) : int(last) + 1 or None]

    def _do_ltrim(self, key: bytes, first: bytes, _: bytes) -> Any:
        self.data[key] = self.data.get(key, [])[int(first) :]
        return b"OK"

    def _do_llen(self, key: bytes) -> Any:
        return len(self.data.get(key, []))

    def _do_get(self, key: bytes) -> Any:
        return self.data.get(key)

    def _do_set(self, key: bytes, value: bytes, *_: bytes) -> Any:
        self.data[key] = value
        return b"OK"

    def _do_sadd(self, key: bytes, value: bytes) -> Any:
        values = self.data.setdefault(key, {})
        is_new = value not in values
        values[value] = 1
        return int(is_new)

    def _do_srem(self, key: bytes, *values: bytes) -> Any:
        found: dict[bytes, int] = self.data.get(key, {})
        return sum(found.pop(value, 0) for value in values)

    def _do_smembers(self, key: bytes) -> Any:
        return [*self.data.get(key, {})]

    def _do_exists(self, key: bytes) -> Any:
        return int(key in self.data)

    def _do_hset(self, key: bytes, *pairs: bytes) -> Any:
        values = self.data.setdefault(key, {})
        before = len(values)
        values.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(values) - before

    def _do_hget(self, key: bytes, name: bytes) -> Any:
        return self.data.get(key, {}).get(name)

    def _do_expire(self, key: bytes, _: bytes) -> Any:
        return int(key in self.data)

    def _do_mget(self, *keys: bytes) -> Any:
        return [*map(self.data.get, keys)]

    def _do_hmget(self, key: bytes, *fields: bytes) -> Any:
        return [self.data.get(key, {}).get(field.decode()) for field in fields]

    def _do_pubsub(self, _: bytes, *names: bytes) -> Any:
        counts = [sum(name in one.names for one in self.connections) for name in names]
        return [part for pair in zip(names, counts, strict=True) for part in pair]

    def _do_publish(self, name: bytes, payload: bytes) -> Any:
        for one in self.connections:
            if name in one.names:
                one.send_back([b"message", name, payload])
        return 1

    def _take(self, keys: list[bytes], values: list[bytes]) -> Any:
        value, milliseconds, beside = values
        holder = self.data.get(keys[0])
        token = self.data.get(keys[1], {}).get("token", b"")
        if holder == value or (holder is None and (beside != b"1" or token)):
            self.data[keys[0]] = holder = value
            self.expires[keys[0]] = self._now() + int(milliseconds) / 1000
        return [holder or b"", token, b"%d" % self.data.get(keys[1], {}).get("generation", 0)]

    def _fence(self, keys: list[bytes], values: list[bytes]) -> Any:
        if self.data.get(keys[0]) != values[0]:
            raise EngineError("FENCED another node has the lease")
        fence = self.data.setdefault(keys[1], {})
        token = fence.get("token", b"")
        generation = max(fence.get("generation", 0), int(values[2]))
        if token != values[1]:
            fence["before"] = token + b" " + fence.get("before", b"")
        fence["generation"] = generation + 1
        fence["token"] = values[1]
        told = [fence.get(name, b"") for name in ("before", "run", "replication")]
        return [*told, b"%d" % fence["generation"]]

    def _verified(self, keys: list[bytes], values: list[bytes]) -> Any:
        fence = self.data.get(keys[0], {})
        if fence.get("token") == values[0]:
            fence |= {"run": values[1], "replication": values[2], "before": b""}
        return 1

    def _release(self, keys: list[bytes], values: list[bytes]) -> Any:
        if self.data.get(keys[0]) == values[0]:
            del self.data[keys[0]]
            self._do_publish(keys[0], b"free")
        return 1

    def _append(self, keys: list[bytes], values: list[bytes]) -> Any:
        if keys[1] not in self.data:
            self.data[keys[1]] = b"1"
            self._do_rpush(keys[0], values[0])
        return 1

    def _push(self, keys: list[bytes], values: list[bytes]) -> Any:
        token = self.data.get(keys[0], {}).get("token")
        if token is None:
            raise EngineError("LOST the engine has no fence")
        if token != values[0]:
            raise EngineError("FENCED another node owns")
        if values[8] == b"1" and (self.data.get(keys[1]) or self.data.get(keys[2])):
            raise EngineError("LATE other messages come before these")
        if values[5] != b"0":
            fits, tops = self._look(keys[3:], iter(values[9:]))
            if not fits:
                return tops
        rest = iter(values[9:])
        tops = [self._push_one(key, rest, values) for key in keys[3:]]
        head = self._do_lrange(keys[1], b"0", b"0")
        if values[5] != b"0" and head and head[0].startswith(values[7]):
            self._do_ltrim(keys[1], values[5], b"-1")
        return tops

    def _evict(self, keys: list[bytes], values: list[bytes]) -> Any:
        fence, key = keys
        until = self._now() + int(values[2]) / 1000
        is_owner = self.data.get(fence, {}).get("token") == values[0]
        entries = self.stream(key)
        if is_owner and entries and entries[-1][1].encode() == values[1]:
            self.expires[key] = min(until, self.expires[key])
        return 1

    def _look(self, keys: list[bytes], rest: Any) -> tuple[bool, list[int]]:
        tops, fits = [], True
        for key in keys:
            epoch, first, _, _, replaces = (next(rest) for _ in range(5))
            for _ in range(int(next(rest))):
                next(rest)
            entries = self.stream(key)
            top = entries[-1][0] if entries else 0
            if entries and entries[-1][1] != epoch.decode():
                top = 0 if replaces == b"1" else -1
            tops.append(top)
            fits = fits and int(first) <= top + 1
        return fits, tops

    def _push_one(self, key: bytes, rest: Any, head: list[bytes]) -> int:
        epoch, first, end = next(rest).decode(), int(next(rest)), next(rest)
        outcome = next(rest)
        replaces, texts = next(rest) == b"1", [next(rest) for _ in range(int(next(rest)))]
        entries = self.stream(key)
        if entries and entries[-1][1] != epoch:
            if not replaces:
                return -1
            entries = []
        top = entries[-1][0] if entries else 0
        added = texts[top + 1 - first :] if first <= top + 1 else []
        last = first + len(texts) - 1
        now = b"%d" % int(self._now() * 1000)
        for number, text in enumerate(added, top + 1):
            fields = {b"m": text, b"t": now}
            if end != b"-" and number == last:
                fields[b"e"] = end
            entries = [*entries, (number, epoch, fields)]
        top += len(added)
        is_ended = end != b"-" and top >= last
        if entries:
            self.data[key] = entries
            self.expires[key] = self._now() + int(head[2 if is_ended else 1]) / 1000
        if is_ended:
            told = b" ".join([end, outcome, now, b"%d" % top, epoch.encode()])
            self.data[head[3] + key[int(head[6]) :]] = told
        if added:
            news = b"%b %d %b %b" % (epoch.encode(), top + 1 - len(added), end, now)
            self._do_publish(key, b"\n".join([news, *added]))
        return top


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, (dict, list)) else value


def _told(entry: Entry) -> Any:
    number, epoch, fields = entry
    return [f"{number}-{epoch}".encode(), [part for pair in fields.items() for part in pair]]


class FakeConnection:
    """A connection to it; see ``connection.EngineConnection``."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        server.connections.append(self)
        self.connected = 1
        self.names: set[bytes] = set()
        self.waiting: deque[tuple[list[bytes], Deferred[Any] | None]] = deque()
        self._messages: deque[list[Any]] = deque()
        self.on_message: Callable[[list[Any]], object] = lambda _: None
        self.on_lost: Callable[[], object] = lambda: None

    @property
    def heard_at(self) -> float:
        """Never long ago: that is another test's matter."""
        return 1e12

    def call(self, *words: Word) -> "Deferred[Any]":
        """Send a command."""
        if not self.connected:
            return fail(EngineAway("not connected"))
        reply: Deferred[Any] = Deferred()
        self.waiting.append(([*map(packed, words)], reply))
        return reply

    def send(self, *words: Word) -> None:
        """Send a command that has no reply of its own."""
        if self.connected and words[0] != "PING":
            self.waiting.append(([*map(packed, words)], None))

    def send_back(self, message: list[Any]) -> None:
        """Let the node have a message."""
        self.waiting.append(([b"", *message], None))

    def serve(self) -> None:
        """Do what waits longest."""
        words, reply = self.waiting.popleft()
        if reply is None:
            self._subscribe(words)
            return
        try:
            answer = self._server.do(words)
        except EngineError as error:
            reply.errback(error)
        else:
            if not reply.called:
                reply.callback(answer)

    def _subscribe(self, words: list[bytes]) -> None:
        if words[0] == b"":
            self.on_message(words[1:])
        elif words[0] == b"SUBSCRIBE":
            for name in words[1:]:
                self.names.add(name)
                self.waiting.append(([b"", b"subscribe", name, b"1"], None))
        else:
            self.names.difference_update(words[1:])

    def abort(self) -> None:
        """End it."""
        if not self.connected:
            return
        self.connected = 0
        self._server.connections.remove(self)
        waiting, self.waiting = self.waiting, deque()
        for _, reply in waiting:
            if reply is not None and not reply.called:
                reply.errback(EngineAway("lost"))
        self.on_lost()


def packed(word: Word) -> bytes:
    """A word as the engine reads it."""
    return word if isinstance(word, bytes) else str(word).encode()


class FakeDialer:
    """Reaches the server; see ``dialing.Dialer``.

    Attributes:
        is_cut: whether it cannot be reached from here.
    """

    timeout = 3.0
    addresses = (EngineAddress("fake"),)

    def __init__(self, server: FakeServer, keys: Keys, reactor: Any) -> None:
        self.server = server
        self.keys = keys
        self.reactor = reactor
        self.is_cut = False
        self.opened: list[FakeConnection] = []

    async def dial(self) -> Session:
        """Connect."""
        if self.is_cut or not self.server.is_up:
            raise EngineAway("refused")
        one, two = FakeConnection(self.server), FakeConnection(self.server)
        self.opened = [one, two]
        facts = Facts(
            "7.2.0", f"run-{self.server.run}", "replication", "master", uptime=self.server.uptime
        )
        session: Any = Session(one, two, EngineAddress("fake"), facts)  # type: ignore[arg-type]
        return session  # type: ignore[no-any-return]

    def cut(self, *, is_heard: bool = False) -> None:
        """Cut this node's connections.

        Args:
            is_heard: whether the server does what it was told, though no reply comes back.
        """
        for one in self.opened:
            for words, reply in tuple(one.waiting) if is_heard and one.connected else ():
                if reply is not None and self.server.is_up:
                    with suppress(EngineError):
                        self.server.do(words)
            one.abort()
