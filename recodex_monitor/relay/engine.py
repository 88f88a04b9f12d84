"""The engine: the server that joins the nodes, dialed anew whenever it is lost."""

import random
from collections.abc import Sequence
from hashlib import sha1
from typing import Any, Protocol

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from recodex_monitor.relay.connection import EngineAway, EngineError, Word
from recodex_monitor.relay.dialing import Facts, Session, facts_of

_log = Logger()

FIRST_RETRY, LAST_RETRY, JITTER = 0.05, 1.0, 0.1
"""Seconds between two attempts to connect: the first, the longest, and the random part."""

ASKED_EVERY = 10
"""Seconds between two checks of the engine."""


class Script:
    """A Lua script, sent in full only to an engine that does not have it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Listener(Protocol):
    """What is notified of the engine's sessions and messages."""

    def began(self) -> None:
        """Called when a session has begun: nothing is subscribed to."""

    def ended(self) -> None:
        """Called when the session has ended."""

    def subscribed(self, name: bytes) -> None:
        """Called when a subscription has begun."""

    def told(self, name: bytes, payload: bytes) -> None:
        """Called with a message that was published under a name."""


class Commands(Protocol):
    """An engine as the parts of the relay use it: ``Engine``, or a fake in tests."""

    def call(self, *words: Word) -> "Deferred[Any]":
        """Send a command; the result is its reply. Fails with EngineAway or EngineError."""

    def run(self, script: Script, keys: Sequence[Word], values: Sequence[Word]) -> "Deferred[Any]":
        """Run a script; the result is its reply. Fails like ``call``."""

    def subscribe(self, names: Sequence[bytes]) -> None:
        """Subscribe to names, until the session ends."""

    def unsubscribe(self, names: Sequence[bytes]) -> None:
        """End subscriptions."""


@implementer(ILogObserver)
def _discard(event: LogEvent) -> None:
    pass


class _Connecting(ClientService):
    """A ClientService that logs nothing itself, since it would log every attempt."""

    _log = Logger(observer=_discard)


class _Handle(TwistedProtocol):
    """Notifies the engine when a session begins and ends."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def connectionMade(self) -> None:
        """Called by the endpoint when all is ready."""
        self._engine.began(self.transport.session)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by the endpoint when one of the connections is lost."""
        self._engine.ended()


class Engine:
    """A session with the engine, and another whenever that is lost.

    Attributes:
        session: the present one; None between two sessions.
        sessions: how many there have been.
        known: what the engine last said about itself.
        away_since: since when there has been no session, in seconds; None during a session.
    """

    def __init__(
        self, endpoint: IStreamClientEndpoint, listener: Listener, clock: Any, timeout: float
    ) -> None:
        """Connect to nothing yet.

        Args:
            endpoint: see endpoint.EngineEndpoint.
            listener: is notified of what happens.
            clock: tells the time, and calls later.
            timeout: seconds after which an engine that says nothing is given up.
        """
        self._listener = listener
        self._clock = clock
        self._timeout = timeout
        self.session: Session | None = None
        self.sessions = 0
        self.known = Facts()
        self._ticks = 0
        self._is_stopping = False
        self.away_since: float | None = clock.seconds()
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda _: _Handle(self)  # type: ignore
        policy = backoffPolicy(FIRST_RETRY, LAST_RETRY, 2.0, lambda: random.random() * JITTER)
        self._service = _Connecting(endpoint, factory, policy, clock)

    @property
    def facts(self) -> Facts:
        """What the engine said of itself when the session began."""
        return self.session.facts if self.session is not None else Facts()

    @property
    def away(self) -> float:
        """For how many seconds there has been no session; 0 if there is one."""
        return self._clock.seconds() - self.away_since if self.away_since is not None else 0.0

    def start(self) -> None:
        """Begin to connect."""
        self._service.startService()

    def stop(self) -> "Deferred[Any]":
        """End the session, and do not connect again."""
        self._is_stopping = True
        stopped: Deferred[Any] = self._service.stopService()
        return stopped

    def began(self, session: Session) -> None:
        """Take up a session."""
        if self.away > self._timeout and self.sessions:
            _log.warn("the engine is back after {away:.1f} s", event="engine_back", away=self.away)
        self.session, self.away_since, self.known = session, None, session.facts
        self.sessions += 1
        session.messages.on_message = self._received
        self._listener.began()

    def ended(self) -> None:
        """Give up the session, which is lost."""
        if self.session is not None:
            address, self.session = self.session.address, None
            self.away_since = self._clock.seconds()
            if not self._is_stopping:
                _log.error(
                    "lost the engine at {address}; connecting again",
                    event="engine_lost",
                    address=address,
                )
            self._listener.ended()

    def restart(self, why: str) -> None:
        """End the session, to look again for the server to use."""
        if self.session is not None:
            _log.warn("leaving the engine at {at}: {why}", at=self.session.address, why=why)
            self.session.abort()

    def tick(self) -> None:
        """Look whether the engine is alive and may be used; to be called every second."""
        session = self.session
        if session is None:
            return
        heard = min(session.commands.heard_at, session.messages.heard_at)
        if self._clock.seconds() > heard + self._timeout:
            self.restart(f"it has said nothing for {self._timeout:g} s")
            return
        session.messages.send("PING")
        session.commands.call("ROLE").addCallback(self._check).addErrback(_ignored)
        self._ticks += 1
        if self._ticks % ASKED_EVERY == 0:
            session.commands.call("INFO").addCallback(self._check).addErrback(_ignored)

    def _check(self, told: Any) -> None:
        """Use what the engine says of its role, or of itself as a whole."""
        if isinstance(told, bytes):
            self.known = facts_of(told)
        elif told[0] != b"master":
            self.restart("it is no longer the primary")

    def call(self, *words: Word) -> "Deferred[Any]":
        """Send a command; see Commands."""
        if self.session is None:
            return fail(EngineAway("the engine is away"))
        return self.session.commands.call(*words).addErrback(_refused, self)

    def run(self, script: Script, keys: Sequence[Word], values: Sequence[Word]) -> "Deferred[Any]":
        """Run a script; see Commands."""
        return ensureDeferred(_run(self, script, keys, values))

    def subscribe(self, names: Sequence[bytes]) -> None:
        """Subscribe to names; see Commands."""
        if self.session is not None:
            self.session.messages.send("SUBSCRIBE", *names)

    def unsubscribe(self, names: Sequence[bytes]) -> None:
        """End subscriptions; see Commands."""
        if self.session is not None:
            self.session.messages.send("UNSUBSCRIBE", *names)

    def _received(self, message: list[Any]) -> None:
        if message[0] == b"message":
            self._listener.told(message[1], message[2])
        elif message[0] == b"subscribe":
            self._listener.subscribed(message[1])


async def _run(
    engine: Commands, script: Script, keys: Sequence[Word], values: Sequence[Word]
) -> Any:
    try:
        return await engine.call("EVALSHA", script.sha, len(keys), *keys, *values)
    except EngineError as error:
        if error.code != "NOSCRIPT":
            raise
    return await engine.call("EVAL", script.text, len(keys), *keys, *values)


def _refused(failure: Failure, engine: Engine) -> Failure:
    """Look for the primary at once if this server no longer is the primary."""
    error = failure.value
    if isinstance(error, EngineError) and error.code == "READONLY":
        engine.restart("it is no longer the primary")
        return Failure(EngineAway("the engine has become a replica"))
    return failure


def _ignored(failure: Failure) -> None:
    """Ignore that a command failed because the engine was lost, which is noticed otherwise."""
    failure.trap(EngineAway, EngineError)
