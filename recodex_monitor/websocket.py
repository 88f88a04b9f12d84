"""The browsers' side: one WebSocket connection follows one channel.

Autobahn does the handshake and the frames that come in; what goes out are slices of the
channel's log, which is made of finished frames.
"""

import resource
from collections.abc import Iterator
from itertools import chain
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from recodex_monitor.admission import Admission, Refused
from recodex_monitor.clock import Clock
from recodex_monitor.config import Limits
from recodex_monitor.deadlines import Deadlines
from recodex_monitor.delivery import Delivery
from recodex_monitor.dropped import Dropped
from recodex_monitor.hub import Hub, NoRoom
from recodex_monitor.lean import NORMAL, LeanServerProtocol, lean_class
from recodex_monitor.turns import Turns

_log = Logger()

UNSUPPORTED = 1003
POLICY = 1008
TOO_BIG = 1009
INTERNAL_ERROR = 1011
RESTART = 1012
TRY_LATER = 1013

SPARE_FILES = 100
"""Open files that are not for clients, nor for telling them that there is no room."""

LONG_REPLAY = 64 * 1024
"""Bytes behind which an answer to a ping may take its time: the client has to read them first."""


@implementer(IPushProducer)
class SubscriberProtocol(LeanServerProtocol):
    """A browser's connection; a ``delivery.Client``."""

    factory: "SubscriberFactory"

    kept = (
        "_subscription",
        "_channel_id",
        "_address",
        "_frames",
        "_paused",
        "_position_when_heard",
        "_taken_when_pinged",
    )
    _subscription: Delivery | None = None
    _channel_id: str | None = None
    _address: str | None = None
    _frames = 0  # of data, since the handshake
    _paused = False
    _position_when_heard = 0
    _taken_when_pinged = 0

    def connectionMade(self) -> None:
        """Called by Twisted when a client has connected."""
        super().connectionMade()
        self.factory.opened(self)

    def connectionLost(self, reason: Any = None) -> None:
        """Called by Twisted when the connection has gone, however."""
        super().connectionLost(reason)
        self.factory.lost(self)

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what came in."""
        super().dataReceived(data)
        self.factory.heard(self)
        if self._subscription is not None:
            self._position_when_heard = self._subscription.position

    def admit(self, forwarded_for: str, origin: str) -> None:
        """Give the client a place, or raise Refused; see LeanServerProtocol."""
        peer = getattr(self.transport.getPeer(), "host", "")
        try:
            self._address = self.factory.admission.admit(peer, forwarded_for, origin or None)
        except Refused as refused:
            self.factory.refused.add(refused.reason, refused)
            raise

    def onOpen(self) -> None:
        """Called by Autobahn after the handshake."""
        self.transport.registerProducer(self, True)
        self.factory.handshaken(self)

    def onMessageFrameBegin(self, length: int) -> None:
        """Called by Autobahn with each frame of data: a client may only send so many."""
        super().onMessageFrameBegin(length)
        self._frames += 1
        if self._frames > 1 + self.factory.limits.ignored_messages:
            self.sendCloseFrame(POLICY, b"nothing but the channel id is expected")

    def expects_message(self) -> bool:
        """Whether the client has not sent its channel's id; see LeanServerProtocol."""
        return self._channel_id is None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Called by Autobahn with a message; the first is the channel's id, others are ignored."""
        if self._channel_id is not None or self.state != self.STATE_OPEN:
            return
        if isBinary:
            self.sendCloseFrame(UNSUPPORTED, b"send the channel id as a text message")
        elif not payload:
            self.sendCloseFrame(POLICY, b"the channel id is empty")
        elif len(payload) > self.factory.limits.max_channel_id:
            self.sendCloseFrame(TOO_BIG, b"the channel id is too long")
        else:
            self._subscribe(payload.decode())

    def _subscribe(self, channel_id: str) -> None:
        delivery = Delivery(self, self.transport.send)
        delivery.waits = self._paused
        try:
            self.factory.hub.subscribe(channel_id, delivery)
        except NoRoom as error:
            self.factory.refused.add("no room", error)
            self.sendCloseFrame(TRY_LATER, b"too many channels")
            return
        self._subscription = delivery
        self._channel_id = channel_id
        self._frames = 1
        self.factory.subscribed(self)
        _log.info("{peer} follows {channel!r}", peer=self._address, channel=channel_id)
        self.factory.hub.wake(delivery)

    def finishing(self) -> None:
        """See to it that the client takes its time within bounds; see delivery.Client."""
        self.factory.finishing(self)

    def delivered(self) -> None:
        """Close; see delivery.Client."""
        if self._subscription is not None and self._subscription.channel.end is not None:
            self.sendCloseFrame(NORMAL)
        else:
            self.sendCloseFrame(RESTART, b"the monitor stops")

    def abandon(self) -> None:
        """Close after a bug of ours; see delivery.Client."""
        self.sendCloseFrame(INTERNAL_ERROR, b"internal error")

    def leave(self) -> None:
        """Close since the monitor stops, once the client has got all that is due."""
        if self.state == self.STATE_CONNECTING:
            self.failHandshake("the monitor stops", 503)
        elif self._subscription is None:
            self.sendCloseFrame(RESTART, b"the monitor stops")
        else:
            self._subscription.leaving = True
            self.factory.hub.wake(self._subscription)

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Called by us and by Autobahn to begin or to answer the end of a connection.

        Nothing may be written behind a close frame, and Autobahn itself would cut the
        connection a second later with all that the client has not got yet.
        """
        if self.state == self.STATE_OPEN:
            self._unsubscribe()
            self.factory.closing(self)
            super().sendCloseFrame(code, reasonUtf8, isReply)

    def ping(self) -> None:
        """Ask whether the client is there."""
        self._taken_when_pinged = self._position - self.transport.unsent()
        self.sendPing()

    def cut(self) -> None:
        """End the connection at once, with what is due."""
        self.transport.abortConnection()

    def is_alive(self) -> bool:
        """Whether a client that has not answered a ping shows another sign of life.

        It takes bytes, or its answer stands behind a long replay that it has to read first.
        """
        unsent: int = self.transport.unsent()
        if self._position - unsent > self._taken_when_pinged:
            return True
        return not unsent and self._position - self._position_when_heard > LONG_REPLAY

    @property
    def _position(self) -> int:
        return self._subscription.position if self._subscription is not None else 0

    def onPing(self, payload: bytes) -> None:
        """Called by Autobahn; a client that takes nothing gets no answers to pile up."""
        if not self._paused:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Called by Autobahn when the connection has ended, however."""
        self._unsubscribe()
        if self._address is not None:
            self.factory.admission.release(self._address)
        if self._channel_id is not None:
            _log.info(
                "{peer} of {channel!r} has gone: {why}",
                peer=self._address,
                channel=self._channel_id,
                why=self._why(wasClean),
            )

    def _why(self, was_clean: bool) -> str:
        if self.localCloseCode is not None and self.closedByMe:
            return f"closed by us with {self.localCloseCode}"
        if was_clean:
            return f"closed by the client with {self.remoteCloseCode or 'no code'}"
        return "the connection was lost"

    def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self.factory.hub.unsubscribe(subscription)

    def pauseProducing(self) -> None:
        """Called by the transport, from within our writes, when the client takes no more."""
        self._paused = True
        if self._subscription is not None:
            self._subscription.waits = True

    def resumeProducing(self) -> None:
        """Called by the transport when the client has taken all that was written."""
        self._paused = False
        if self._subscription is not None:
            self._subscription.waits = False
            self.factory.hub.wake(self._subscription)

    def stopProducing(self) -> None:
        """Called by the transport when the connection has gone."""
        self.pauseProducing()


class SubscriberFactory(WebSocketServerFactory):  # type: ignore[misc]
    """Makes the connections, knows all of them, and watches over what they owe us."""

    noisy = False

    def __init__(self, hub: Hub, limits: Limits, clock: Clock) -> None:
        """Make a factory whose connections follow the hub's channels.

        Args:
            hub: has the channels.
            limits: of the connections.
            clock: tells the time.
        """
        super().__init__(server="", reactor=clock)
        self.setProtocolOptions(
            webStatus=False,
            allowNullOrigin=True,
            maxFramePayloadSize=limits.max_client_message,
            maxMessagePayloadSize=limits.max_client_message,
            # A client learns what it did wrong by a close code, not by a lost connection.
            failByDrop=False,
            # Timers are ours: one sweep for all connections, not two timers for each.
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
        )
        self.protocol = lean_class(SubscriberProtocol, self, limits.max_handshake_size)
        self.hub = hub
        self.limits = limits
        self.admission = Admission(
            max_connections=limits.max_connections,
            max_connections_per_address=limits.max_connections_per_address,
            trusted_proxies=limits.trusted_proxies,
            allowed_origins=limits.allowed_origins,
        )
        self.refused = Dropped(_log, "client", clock.seconds)
        self.connections: set[SubscriberProtocol] = set()
        self._seconds = clock.seconds
        self._handshaking = Deadlines[SubscriberProtocol](limits.handshake_timeout)
        self._unsubscribed = Deadlines[SubscriberProtocol](limits.subscribe_timeout)
        self._silent = Deadlines[SubscriberProtocol](limits.ping_interval)
        self._pinged = Deadlines[SubscriberProtocol](limits.ping_timeout)
        self._finishing = Deadlines[SubscriberProtocol](limits.finish_timeout)
        self._closing = Deadlines[SubscriberProtocol](limits.close_timeout)
        self._deadlines = (
            self._handshaking,
            self._unsubscribed,
            self._silent,
            self._pinged,
            self._finishing,
            self._closing,
        )
        self.sweep = Turns(clock, self._sweep_steps)
        """Sees to the clients whose time is up; call it every second."""
        self._all_gone: list[Deferred[None]] = []

    def buildProtocol(self, addr: Any) -> SubscriberProtocol | None:
        """Called by Twisted for a new connection; None closes it at once.

        Twice as many connections as places leaves room to tell the others that there are none.
        The last descriptors are for the broker: a connection that it cannot accept makes
        ZeroMQ's thread spin.
        """
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = min(2 * self.limits.max_connections, allowed - min(SPARE_FILES, allowed // 4))
        if len(self.connections) >= room:
            self.refused.add("no room", "too many connections, those in their handshake included")
            return None
        client: SubscriberProtocol = self.protocol()
        return client

    def opened(self, client: SubscriberProtocol) -> None:
        """A client has connected."""
        self.connections.add(client)
        self._handshaking.put(client, self._seconds())

    def handshaken(self, client: SubscriberProtocol) -> None:
        """A client has finished its handshake."""
        self._handshaking.discard(client)
        self._unsubscribed.put(client, self._seconds())

    def subscribed(self, client: SubscriberProtocol) -> None:
        """A client has sent its channel's id."""
        self._unsubscribed.discard(client)

    def heard(self, client: SubscriberProtocol) -> None:
        """A client has sent something."""
        self._pinged.discard(client)
        if client.state == client.STATE_OPEN:
            self._silent.put(client, self._seconds())

    def finishing(self, client: SubscriberProtocol) -> None:
        """A client has more to take, and nothing more will come for it."""
        self._finishing.put_once(client, self._seconds())

    def closing(self, client: SubscriberProtocol) -> None:
        """A client was sent a close frame."""
        self._unsubscribed.discard(client)
        self._silent.discard(client)
        self._pinged.discard(client)
        self._closing.put(client, self._seconds())
        self.finishing(client)

    def lost(self, client: SubscriberProtocol) -> None:
        """A client has gone."""
        self.connections.discard(client)
        for deadlines in self._deadlines:
            deadlines.discard(client)
        if not self.connections:
            waiting, self._all_gone = self._all_gone, []
            for deferred in waiting:
                deferred.callback(None)

    def _sweep_steps(self) -> Iterator[None]:
        now = self._seconds()
        for client in chain(self._handshaking.pop_due(now), self._finishing.pop_due(now)):
            client.cut()
            yield
        for client in self._unsubscribed.pop_due(now):
            client.sendCloseFrame(POLICY, b"no channel id was sent")
            yield
        for client in self._pinged.pop_due(now):
            if client.is_alive():
                self._silent.put(client, now)
            else:
                client.cut()
            yield
        for client in self._silent.pop_due(now):
            self._pinged.put(client, now)
            client.ping()
            yield
        for client in self._closing.pop_due(now):
            # One that takes nothing any more is given up by the kernel, see stall_timeout.
            if client.transport.unsent():
                self._closing.put(client, now)
            else:
                client.dropConnection()
            yield

    def close_all(self) -> Deferred[None]:
        """Send everybody away since the monitor stops; fires when all have gone."""
        gone: Deferred[None] = Deferred()
        self._all_gone.append(gone)
        for client in tuple(self.connections):
            client.leave()
        if not self.connections:
            self._all_gone.remove(gone)
            gone.callback(None)
        return gone

    def abort_all(self) -> None:
        """End what is left of the connections at once."""
        for client in tuple(self.connections):
            client.cut()
