"""A connection to the engine: its protocol is RESP2, which every server and hiredis speak."""

from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

MAX_PENDING = 20_000
"""Commands without a reply, at most; callers stay far below that."""

Word = bytes | str | int
"""A part of a command."""


class EngineAway(Exception):
    """The engine cannot be reached, or was lost before it replied."""


class EngineError(Exception):
    """The engine's reply is an error.

    Attributes:
        code: its first word, such as NOSCRIPT.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


def packed(words: tuple[Word, ...]) -> bytes:
    """A command as the engine reads it."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if type(word) is not bytes:
            word = str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


class EngineConnection(Protocol):
    """Sends commands, and gives each the reply that belongs to it.

    Attributes:
        heard_at: when something last came, in seconds.
        on_message: called with what comes besides replies: messages of subscribed channels.
        on_lost: called once, when the connection is lost.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin unconnected; ``now`` tells the time in seconds."""
        self._now = now
        self._reader = hiredis.Reader(replyError=EngineError)
        self._pending: deque[Deferred[Any]] = deque()
        self.heard_at = now()
        self.on_message: Callable[[list[Any]], object] = lambda _: None
        self.on_lost: Callable[[], object] = lambda: None

    def call(self, *words: Word) -> "Deferred[Any]":
        """Send a command; the result is its reply.

        Fails with EngineError if the reply is an error, and with EngineAway if none comes.
        """
        if not self.connected or len(self._pending) >= MAX_PENDING:
            return fail(EngineAway("not connected" if not self.connected else "too many commands"))
        reply: Deferred[Any] = Deferred()
        self._pending.append(reply)
        self.send(*words)
        return reply

    def send(self, *words: Word) -> None:
        """Send a command that has no reply of its own, such as SUBSCRIBE."""
        if self.connected:
            self.transport.write(packed(words))  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with bytes of replies and messages."""
        self.heard_at = self._now()
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._received(reply)
        except hiredis.ProtocolError as error:
            _log.error("the engine does not speak RESP: {why}", why=error)
            self.abort()

    def _received(self, reply: Any) -> None:
        if self._pending:
            deferred = self._pending.popleft()
            if isinstance(reply, EngineError):
                deferred.errback(reply)
            else:
                deferred.callback(reply)
        elif isinstance(reply, list):
            try:
                self.on_message(reply)
            except Exception:
                _log.failure("a message of the engine could not be handled")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted: all commands without a reply fail."""
        self.connected = 0
        pending, self._pending = self._pending, deque()
        for deferred in pending:
            deferred.errback(EngineAway(_text(reason)))
        self.on_lost()

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None and self.connected:
            self.transport.abortConnection()  # type: ignore[attr-defined]


def _text(reason: Failure) -> str:
    """Says that a connection was lost, and why if TLS gives errors: a list of tuples."""
    text, told = "the connection to the engine was lost", getattr(reason.value, "args", ())
    if told and isinstance(told[0], list):
        return f"{text}: {', '.join(str(one[-1]) for one in told[0])}"
    return text
