"""What speaks on the public port: WebSocket or plain HTTP, by the head of a request.

A connection is WebSocket's until its first data are no ordinary handshake, so that these, nearly
all there are, cost nothing more. Then it waits for the whole head to be there.
"""

import re
from typing import Any

from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.connections import Guest, Reception
from recodex_monitor.clients.site import Web, plain_answer
from recodex_monitor.clients.streams import Streams
from recodex_monitor.clients.websocket import SubscriberFactory, SubscriberProtocol
from recodex_monitor.settings.schema import Limits
from recodex_monitor.timing.clock import Clock

_UPGRADE = re.compile(rb"\nupgrade:", re.IGNORECASE)
_FOLDED = re.compile(rb"\n[ \t]")
"""A header that goes on in the next line, which HTTP/1.1 has given up: readers differ about it."""


class Front(ServerFactory):
    """Makes the connections of the public port.

    Attributes:
        reception: knows all connections.
        subscribers: makes those that speak WebSocket.
        limits: of the connections.
    """

    noisy = False

    def __init__(self, hub: Hub, limits: Limits, clock: Clock) -> None:
        """Make a factory without connections.

        Args:
            hub: has the channels.
            limits: of the connections.
            clock: tells the time.
        """
        self.limits = limits
        self.reception = Reception(limits, clock)
        self.subscribers = SubscriberFactory(hub, self.reception, limits, clock, self._wait)
        streams = Streams(hub, limits, clock)
        self._web = Web(streams, self.reception, limits, clock)
        parts = (self.reception, self.subscribers, streams, self._web)
        self.sweeps = tuple(part.sweep for part in parts)
        """See to the clients whose time is up; call them every second."""

    def buildProtocol(self, addr: Any) -> SubscriberProtocol | None:
        """Called by Twisted for a new connection; None closes it at once."""
        return self.subscribers.buildProtocol(addr) if self.reception.has_room() else None

    def _wait(self, client: SubscriberProtocol, data: bytes) -> None:
        waiting = Waiting(self)
        self._hand_over(client, waiting)
        waiting.dataReceived(data)

    def to_websocket(self, waiting: "Waiting", data: bytes) -> None:
        """Hand a connection over to WebSocket, with all that has come and a whole head in it."""
        client = self.subscribers.buildProtocol(None)
        self._hand_over(waiting, client)
        client.begin(data)

    def to_web(self, waiting: "Waiting", data: bytes) -> None:
        """Hand a connection over to plain HTTP, with all that has come and a whole head in it."""
        client = self._web.buildProtocol()
        self._hand_over(waiting, client)
        client.dataReceived(data)

    def _hand_over(self, old: Guest, new: Any) -> None:
        transport = old.transport
        transport.protocol = new
        self.reception.changed(old, new)
        new.makeConnection(transport)


class Waiting(Protocol):
    """A connection of which we do not know yet what it is to speak."""

    transport: Any
    _came = b""

    def __init__(self, front: Front) -> None:
        """Wait for the first data; see Front."""
        self._front = front

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted when the connection has gone."""
        self._front.reception.lost(self)

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what came in."""
        came = self._came = self._came + data
        limit = self._front.limits.max_handshake_size
        end = came.find(b"\r\n\r\n", 0, limit)
        if end >= 0:
            self._asked(came, end)
        elif len(came) > limit:
            self._refuse(431)

    def _asked(self, came: bytes, end: int) -> None:
        self._front.reception.asked(self.transport)
        if _FOLDED.search(came, 0, end):
            self._refuse(400)
        elif _UPGRADE.search(came, 0, end):
            self._front.to_websocket(self, came)
        else:
            self._front.to_web(self, came)

    def _refuse(self, status: int) -> None:
        self.transport.write(plain_answer(status))
        self.transport.loseConnection()

    def leave(self) -> None:
        """Refuse, since the monitor stops; see reception.Guest."""
        self._refuse(503)

    def cut(self) -> None:
        """End the connection at once; see reception.Guest."""
        self.transport.abortConnection()
