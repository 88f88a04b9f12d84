"""Detects what a client speaks on the public port, WebSocket or plain HTTP, by its request's head.

A connection is a WebSocket until its first data turns out not to be an ordinary handshake. So
ordinary handshakes, which nearly all clients send, cost nothing extra. Any other connection waits
here for the whole head, and goes on as plain HTTP. If its request then turns out to be a handshake
after all, it is a WebSocket again.
"""

import re
from typing import Any

from twisted.internet.protocol import ServerFactory

from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.access import Access
from recodex_monitor.clients.admission import Refused
from recodex_monitor.clients.announcements import Announcements, HasBroker
from recodex_monitor.clients.connections import Connection, Connections, peer_of
from recodex_monitor.clients.first_bytes import (
    BeginningConnection,
    answer_to,
    refusal_on_plain_port,
    refusal_on_tls_port,
)
from recodex_monitor.clients.following import Shared
from recodex_monitor.clients.handshake import Handshake
from recodex_monitor.clients.http_connection import HttpConnection
from recodex_monitor.clients.request_line import empty_lines, known_version, lone_line_end
from recodex_monitor.clients.site import Site
from recodex_monitor.clients.stream_factory import StreamFactory
from recodex_monitor.clients.websocket import SubscriberFactory, SubscriberProtocol
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock

_FOLDED = re.compile(rb"\n[ \t]")
"""A header that continues on the next line: obsolete in HTTP/1.1, and parsers disagree on it."""

_FOLDED_HEADER = Refused(
    400, "bad request", "A header continues on the next line, which HTTP/1.1 no longer allows."
)


class PublicFactory(ServerFactory):
    """Makes the connections of the public port.

    Attributes:
        connections: knows all connections.
        access: decides who may follow what.
        subscribers: makes those that speak WebSocket.
        settings: have the limits of the connections.
        sweeps: end or wake the clients whose time is up; call each of them every second.
    """

    noisy = False

    def __init__(
        self, hub: Hub, settings: LiveSettings, clock: Clock, has_broker: HasBroker
    ) -> None:
        """Make a factory without connections.

        Args:
            hub: has the channels.
            settings: have the limits of the connections.
            clock: tells the time.
            has_broker: see HasBroker.
        """
        self.settings = settings
        self.connections = Connections(settings, clock)
        announcements = Announcements(hub, clock.seconds, has_broker)
        self.access = Access(clock, self.connections.refused)
        shared = Shared(
            *(hub, announcements, settings, clock, self.connections.refused, self.access)
        )
        self.subscribers = SubscriberFactory(
            hub, self.connections, settings, clock, self._detect, shared
        )
        streams = StreamFactory(hub, settings, clock, shared)
        self._site = Site(streams, self.connections, settings, clock, self._to_websocket)
        self.sweeps = (
            self.connections.sweep,
            self.subscribers.keepalive.sweep,
            shared.sweep,
            self.access.sweep,
            streams.sweep,
            self._site.sweep,
        )

    def buildProtocol(self, addr: Any) -> SubscriberProtocol | None:
        """Called by Twisted for a new connection; None closes it at once."""
        if self.connections.has_room():
            return self.subscribers.buildProtocol(addr)
        self.connections.refused.add("no room", "too many open connections, admitted or not")
        return None

    def _detect(self, connection: SubscriberProtocol, data: bytes) -> None:
        undetected = UndetectedConnection(self)
        self._replace(connection, undetected)
        undetected.dataReceived(data)

    def refusal_on_tls_port(self, transport: Any, data: bytes) -> bytes | None:
        """Refuse a connection without TLS to the port with it; see SecureFactory."""
        refused = refusal_on_tls_port(data, peer_of(transport))
        if refused is None:
            return None
        self.connections.refuse(refused)
        return answer_to(refused, data)

    def to_http(self, connection: "UndetectedConnection", head: bytes, rest: bytes) -> None:
        """Continue a connection as plain HTTP.

        Args:
            connection: is replaced.
            head: of its request.
            rest: what the client has sent after it, which may be frames.
        """
        transport = connection.transport
        new = self._site.buildProtocol()
        self._replace(connection, new)
        new.begin(head)
        if rest and not transport.disconnecting:
            transport.protocol.dataReceived(rest)

    def _to_websocket(self, connection: HttpConnection, handshake: Handshake) -> None:
        rest = connection.detach()
        new = self.subscribers.buildProtocol(None)
        self._replace(connection, new)
        new.accept(handshake)
        if rest:
            new.dataReceived(rest)

    def _replace(self, old: Connection, new: Any) -> None:
        transport = old.transport
        transport.protocol = new
        self.connections.replaced(old, new)
        new.makeConnection(transport)


class UndetectedConnection(BeginningConnection):
    """A connection whose protocol is not known yet."""

    def __init__(self, factory: PublicFactory) -> None:
        """Wait for the head of a request.

        Args:
            factory: gets the connection then.
        """
        super().__init__(factory.connections)
        self._factory = factory

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what the client has sent."""
        received = self._received = self._received + data
        refused = refusal_on_plain_port(received, peer_of(self.transport))
        if refused is not None:
            self.refuse(refused)
            return
        limit = self._factory.settings.limits.max_handshake_size
        begin = empty_lines(received)
        end = received.find(b"\r\n\r\n", begin, limit)
        head = received if end < 0 else received[: end + 4]
        if refused := lone_line_end(head[:limit], len(received) - len(data)):
            self.refuse(refused)
        elif end >= 0:
            self._head_received(head[begin:], received[end + 4 :])
        elif len(received) > limit:
            text = f"The head of the request is longer than {limit} bytes."
            self.refuse(Refused(431, "long head", text))

    def _head_received(self, head: bytes, rest: bytes) -> None:
        if _FOLDED.search(head):
            self.refuse(_FOLDED_HEADER)
        else:
            self._factory.to_http(self, known_version(head), rest)
