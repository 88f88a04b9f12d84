"""The engine as an endpoint of Twisted's, so that a ClientService dials it again and again."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from recodex_monitor.relay.connection import EngineAway
from recodex_monitor.relay.dialing import Dialer, Session

_log = Logger()

_ADDRESS = IPv4Address("TCP", "engine", 0)  # ClientService needs one and does not use it


class SessionTransport:
    """What a protocol of a session has as its transport."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def loseConnection(self) -> None:
        """End the session."""
        self.session.abort()

    abortConnection = loseConnection


@implementer(IStreamClientEndpoint)
class EngineEndpoint:
    """Lets a ClientService connect by a dialer: its protocols are made once all is ready.

    Attributes:
        why: why the last attempt has failed; empty if it has not.
    """

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self.why = ""

    def connect(self, protocolFactory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Called by ClientService to connect."""
        return ensureDeferred(self._connect(protocolFactory))

    async def _dial(self) -> Session:
        """Connect; what is wrong is logged, but not again at every attempt."""
        try:
            session = await self._dialer.dial()
        except EngineAway as error:
            if str(error) != self.why:
                self.why = str(error)
                text = "cannot use the engine, and try again: {why}"
                _log.error(text, event="engine_unusable", why=self.why)
            raise
        self.why = ""
        return session

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        session = await self._dial()
        if not session.commands.connected:
            session.abort()
            raise EngineAway("the connection was lost at once")
        protocol: Any = factory.buildProtocol(_ADDRESS)

        def lost() -> None:
            session.abort()
            protocol.connectionLost(Failure(ConnectionLost()))

        session.commands.on_lost = lost
        session.messages.on_lost = session.abort
        protocol.makeConnection(SessionTransport(session))
        return protocol  # type: ignore[no-any-return]
