"""The WebSocket connections of clients, which follow one channel or many.

Autobahn reads frames. What is sent are slices of the channel's log, which consists of finished
frames.
"""

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory

from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.access import given_token
from recodex_monitor.clients.admission import Refused
from recodex_monitor.clients.close_codes import (
    ending,
)
from recodex_monitor.clients.connections import Connections
from recodex_monitor.clients.delivery import has_argument, resume_point
from recodex_monitor.clients.failing import fail
from recodex_monitor.clients.following import Shared
from recodex_monitor.clients.handshake import Handshake
from recodex_monitor.clients.jobs_subscriber import JobsSubscriber
from recodex_monitor.clients.keepalive import Keepalive
from recodex_monitor.clients.refusals import STOPPING
from recodex_monitor.clients.subscriber import Subscriber
from recodex_monitor.clients.websocket_base import BaseProtocol, share_attributes
from recodex_monitor.clients.websocket_client import WebSocketClient
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock

_OPTIONS = {
    "webStatus": False,
    "allowNullOrigin": True,
    # A close code says what a client did wrong; a lost connection would not.
    "failByDrop": False,
    # Keepalive does this in one sweep; Autobahn would start two timers for each connection.
    "openHandshakeTimeout": 0,
    "closeHandshakeTimeout": 0,
}


class SubscriberProtocol(BaseProtocol):
    """A client's connection; a ``connections.Connection``.

    Attributes:
        subscriber: the client, once it is admitted.
        given_token: with which it has connected, until the connection is open.
    """

    factory: "SubscriberFactory"
    kept = ("subscriber",)
    subscriber: WebSocketClient | None = None
    given_token = ""

    def connectionMade(self) -> None:
        """Called by Twisted when a client has connected."""
        super().connectionMade()
        self.factory.connections.opened(self)

    def connectionLost(self, reason: Any = None) -> None:
        """Called by Twisted when the connection has ended, however."""
        super().connectionLost(reason)
        if self.subscriber is not None:
            self.factory.keepalive.lost(self.subscriber)
            self.subscriber = None  # Breaks a reference cycle.
        self.factory.connections.lost(self)

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what the client has sent."""
        super().dataReceived(data)
        if self.state == self.STATE_OPEN and self.subscriber is not None:
            self.subscriber.heard()

    def admit(self, handshake: Handshake) -> None:
        """Admit the client, or raise Refused; see BaseProtocol."""
        source, target = handshake.source, handshake.target
        address = self.factory.connections.admit(self.transport, source)
        if self.factory.access.is_on:
            self.given_token = given_token(target, handshake.authorization)
        if "jobs" in target and has_argument(target, "jobs"):
            self.subscriber = JobsSubscriber(self, address)
        else:
            is_resuming = "after=" in target or "lastEventId=" in target
            after = resume_point(target) if is_resuming else None
            self.subscriber = Subscriber(self, address, after, source.origin)

    def onOpen(self) -> None:
        """Called by Autobahn, and by BaseProtocol, after the handshake."""
        self.transport.registerProducer(self.subscriber, True)
        self.factory.connections.head_received(self.transport)
        if self.subscriber is not None:
            self.factory.keepalive.opened(self.subscriber)
            if self.factory.access.is_on:
                self.subscriber.use_token(self.given_token)
                self.given_token = ""

    def onMessageFrameBegin(self, length: int) -> None:
        """Called by Autobahn with each data frame."""
        super().onMessageFrameBegin(length)
        self.frame_begun(length)

    def frame_begun(self, length: int) -> None:
        """Count a data frame, of which a client may only send so many; see BaseProtocol."""
        if self.subscriber is not None:
            self.subscriber.frame_begun(length)

    def expects_message(self) -> bool:
        """Whether another message has a meaning; see BaseProtocol."""
        return self.subscriber is not None and self.subscriber.expects_message()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Called with a message."""
        if self.subscriber is not None and self.state == self.STATE_OPEN:
            self.subscriber.received(payload, isBinary)

    def refuse(self, refused: Refused) -> None:
        """Count the client, and answer its handshake with an error; see BaseProtocol."""
        self.factory.connections.refuse(refused)
        super().refuse(refused)

    def leave(self) -> None:
        """Close, because the monitor stops; see connections.Connection."""
        if self.state == self.STATE_CONNECTING:
            super().refuse(STOPPING)
        elif self.subscriber is not None:
            self.subscriber.leave()

    def cut(self) -> None:
        """End the connection at once; see connections.Connection.

        A page without ids is made to fail instead, once it has read what it was sent; a second call
        cuts its connection.
        """
        if self.state != self.STATE_OPEN or not fail(self):
            self.transport.abortConnection()

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Called by us, and by Autobahn, to begin to close the connection or to answer a close.

        Nothing may be written after a close frame, so the subscription ends. Autobahn's own
        closing would cut the connection a second later, with everything that is still unsent.
        """
        if self.state == self.STATE_OPEN and self.subscriber is not None:
            self.subscriber.unsubscribe()
            self.factory.keepalive.closing(self.subscriber)
            super().sendCloseFrame(code, reasonUtf8, isReply)

    def onPing(self, payload: bytes) -> None:
        """Called by Autobahn; no answers pile up for a client that takes nothing."""
        if self.subscriber is not None and not self.subscriber.is_paused:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Called by Autobahn when the connection has ended, however."""
        subscriber = self.subscriber
        if subscriber is not None:
            ours = self.localCloseCode if self.closedByMe else None
            subscriber.closed(ending(ours, self.remoteCloseCode, is_clean=wasClean))
            self.factory.connections.release(subscriber.address)


class SubscriberFactory(WebSocketServerFactory):  # type: ignore[misc]
    """Makes the connections that speak WebSocket.

    Attributes:
        hub: has the channels.
        connections: knows all connections.
        settings: have the limits of the connections.
        announcements: makes the monitor's own messages.
        shared: what clients of many channels share.
        access: decides who may follow what.
        keepalive: sends pings and heartbeats, and ends connections that miss a timeout.
        detect: takes over a connection, with its first data, if that is no ordinary handshake.
        seconds: tells the time.
    """

    noisy = False

    def __init__(
        self,
        hub: Hub,
        connections: Connections,
        settings: LiveSettings,
        clock: Clock,
        detect: Callable[[SubscriberProtocol, bytes], None],
        shared: Shared,
    ) -> None:
        """Make a factory without connections.

        Args:
            hub: see the class.
            connections: see the class.
            settings: see the class.
            clock: tells the time.
            detect: see the class.
            shared: see the class.
        """
        super().__init__(server="", reactor=clock)
        self.settings = settings
        self.limits_changed()
        self.hub = hub
        self.connections = connections
        self.announcements = shared.announcements
        self.shared = shared
        self.access = shared.access
        self.keepalive = Keepalive(settings, clock)
        self.detect = detect
        self.seconds = clock.seconds

    def limits_changed(self) -> None:
        """Apply the present limits to new connections."""
        limits = self.settings.limits
        self.setProtocolOptions(
            maxFramePayloadSize=limits.max_client_message,
            maxMessagePayloadSize=limits.max_client_message,
            **_OPTIONS,
        )
        self.protocol = share_attributes(SubscriberProtocol, self, limits.max_handshake_size)

    def buildProtocol(self, addr: Any) -> SubscriberProtocol:
        """Make a connection that waits for a handshake."""
        client: SubscriberProtocol = self.protocol()
        return client
