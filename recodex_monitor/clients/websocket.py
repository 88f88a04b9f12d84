"""The browsers' side: one WebSocket connection follows one channel.

Autobahn does the handshake and the frames that come in; what goes out are slices of the
channel's log, which is made of finished frames.
"""

from collections.abc import Callable, Iterator
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from recodex_monitor.channels.channel import Subscription
from recodex_monitor.channels.counters import close_code
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.channels.hub import Hub, NoRoom
from recodex_monitor.clients.close_codes import (
    INTERNAL_ERROR,
    NORMAL,
    POLICY,
    RESTART,
    TOO_BIG,
    TRY_LATER,
    UNSUPPORTED,
)
from recodex_monitor.clients.connections import Reception
from recodex_monitor.clients.delivery import Delivery, ResumableDelivery
from recodex_monitor.clients.encoding import FRAMES, text_of
from recodex_monitor.clients.fast_path import resume_point
from recodex_monitor.clients.websocket_base import LeanServerProtocol, lean_class
from recodex_monitor.settings.schema import Limits
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import Turns
from recodex_monitor.timing.timeouts import Deadlines

_log = Logger()


_OPTIONS = {
    "webStatus": False,
    "allowNullOrigin": True,
    # A client learns what it did wrong by a close code, not by a lost connection.
    "failByDrop": False,
    # Timers are ours: one sweep for all connections, not two timers for each.
    "openHandshakeTimeout": 0,
    "closeHandshakeTimeout": 0,
}

LONG_REPLAY = 64 * 1024
"""Bytes behind which an answer to a ping may take its time: the client has to read them first."""


@implementer(IPushProducer)
class SubscriberProtocol(LeanServerProtocol):
    """A browser's connection; a ``delivery.Client``."""

    factory: "SubscriberFactory"
    kind = "websocket"

    kept = (
        "_subscription",
        "_channel_id",
        "_address",
        "_after",
        "_frames",
        "_paused",
        "_position_when_heard",
        "_taken_when_pinged",
    )
    _subscription: Delivery | None = None
    _channel_id: str | None = None
    _address: str | None = None
    _after: str | None = None  # where to resume; None for a client that expects no ids
    _frames = 0  # of data, since the handshake
    _paused = False
    _position_when_heard = 0
    _taken_when_pinged = 0

    def connectionMade(self) -> None:
        """Called by Twisted when a client has connected."""
        super().connectionMade()
        self.factory.reception.opened(self)

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

    def is_unusual(self, data: bytes) -> None:
        """Let somebody else see what the client wants; see LeanServerProtocol."""
        self.factory.is_unusual(self, data)

    def admit(self, forwarded_for: str, origin: str, target: str) -> None:
        """Give the client a place, or raise Refused; see LeanServerProtocol."""
        if "after=" in target:
            self._after = resume_point(target)
        self._address = self.factory.reception.admit(self.transport, forwarded_for, origin)

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
        delivery = self._delivery()
        delivery.waits = self._paused
        delivery.reader = self
        try:
            self.factory.hub.subscribe(channel_id, delivery)
        except NoRoom as error:
            self.factory.reception.refused.add("no room", error)
            self.sendCloseFrame(TRY_LATER, b"too many channels")
            return
        self._subscription = delivery
        self._channel_id = channel_id
        self._frames = 1
        self.factory.subscribed(self)
        _log.info("{peer} follows {channel!r}", peer=self._address, channel=channel_id)
        if isinstance(delivery, ResumableDelivery):
            self._tell(command="SUBSCRIBED", recovered=delivery.resume(self._after or ""))
        self.factory.hub.wake(delivery)

    def _delivery(self) -> Delivery:
        if self._after is None:
            return Delivery(self, self.transport.send)
        return ResumableDelivery(self, self.transport.send, FRAMES)

    def _tell(self, **keys: object) -> None:
        """Send a message of ours; only clients that resume understand those."""
        self.transport.write(text_frame(text_of(**keys)))
        self.sent()

    def sent(self) -> None:
        """Wait with the next heartbeat; see delivery.Client."""
        self.factory.sent(self)

    def heartbeat(self) -> None:
        """Show a client that resumes that the connection is alive."""
        if self._paused:
            self.sent()
        else:
            self._tell(command="PING")

    def finishing(self) -> None:
        """See to it that the client takes its time within bounds; see delivery.Client."""
        self.factory.finishing(self)

    def delivered(self) -> None:
        """Close; see delivery.Client."""
        end = self._subscription.channel.end if self._subscription is not None else None
        if end is not None:
            if self._after is not None:
                self._tell(command="END", reason=end)
            self.sendCloseFrame(NORMAL)
        else:
            self.sendCloseFrame(RESTART, b"the monitor stops")

    def abandon(self) -> None:
        """Close after a bug of ours; see delivery.Client."""
        self.sendCloseFrame(INTERNAL_ERROR, b"internal error")

    def leave(self) -> None:
        """Close since the monitor stops; see reception.Guest."""
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
        """End the connection at once; see reception.Guest."""
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
        subscription = self._subscription
        self._unsubscribe()
        if self._address is not None:
            self.factory.reception.release(self._address)
            self.factory.left(self, self._close_code(wasClean), subscription)
        if self._channel_id is not None:
            _log.info(
                "{peer} of {channel!r} has gone: {why}",
                peer=self._address,
                channel=self._channel_id,
                why=self._why(wasClean),
            )

    @property
    def address(self) -> str | None:
        """The client's; see channel.Reader."""
        return self._address

    def _close_code(self, was_clean: bool) -> str:
        if self.localCloseCode is not None and self.closedByMe:
            return close_code(self.localCloseCode)
        return close_code(self.remoteCloseCode if was_clean else 1006)

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
    """Makes the connections that speak WebSocket, and watches over what they owe us."""

    noisy = False

    def __init__(
        self,
        hub: Hub,
        reception: Reception,
        limits: Limits,
        clock: Clock,
        is_unusual: Callable[[SubscriberProtocol, bytes], None],
    ) -> None:
        """Make a factory whose connections follow the hub's channels.

        Args:
            hub: has the channels.
            reception: knows all connections and gives places to clients.
            limits: of the connections.
            clock: tells the time.
            is_unusual: takes connections over, with their first data; see LeanServerProtocol.
        """
        super().__init__(server="", reactor=clock)
        self.limits = limits
        self.limits_changed()
        self.is_unusual = is_unusual
        self.hub = hub
        self.reception = reception
        self._seconds = clock.seconds
        self._unsubscribed = Deadlines[SubscriberProtocol](lambda: limits.subscribe_timeout)
        self._silent = Deadlines[SubscriberProtocol](lambda: limits.ping_interval)
        self._pinged = Deadlines[SubscriberProtocol](lambda: limits.ping_timeout)
        self._quiet = Deadlines[SubscriberProtocol](lambda: limits.heartbeat)
        self._finishing = Deadlines[SubscriberProtocol](lambda: limits.finish_timeout)
        self._closing = Deadlines[SubscriberProtocol](lambda: limits.close_timeout)
        self._deadlines = (
            self._unsubscribed,
            self._silent,
            self._pinged,
            self._quiet,
            self._finishing,
            self._closing,
        )
        self.sweep = Turns(clock, self._sweep_steps)
        """Sees to the clients whose time is up; call it every second."""

    def limits_changed(self) -> None:
        """Make new connections by what the limits are now."""
        self.setProtocolOptions(
            maxFramePayloadSize=self.limits.max_client_message,
            maxMessagePayloadSize=self.limits.max_client_message,
            **_OPTIONS,
        )
        self.protocol = lean_class(SubscriberProtocol, self, self.limits.max_handshake_size)

    def buildProtocol(self, addr: Any) -> SubscriberProtocol:
        """Make a connection that waits for a handshake."""
        client: SubscriberProtocol = self.protocol()
        return client

    def handshaken(self, client: SubscriberProtocol) -> None:
        """A client has finished its handshake."""
        self.reception.asked(client.transport)
        self._unsubscribed.put(client, self._seconds())

    def subscribed(self, client: SubscriberProtocol) -> None:
        """A client has sent its channel's id."""
        self._unsubscribed.discard(client)

    def heard(self, client: SubscriberProtocol) -> None:
        """A client has sent something."""
        self._pinged.discard(client)
        if client.state == client.STATE_OPEN:
            self._silent.put(client, self._seconds())

    def sent(self, client: SubscriberProtocol) -> None:
        """A client that expects heartbeats was sent something."""
        self._quiet.put(client, self._seconds())

    def finishing(self, client: SubscriberProtocol) -> None:
        """A client has more to take, and nothing more will come for it."""
        self._finishing.put_once(client, self._seconds())

    def closing(self, client: SubscriberProtocol) -> None:
        """A client was sent a close frame."""
        self._unsubscribed.discard(client)
        self._silent.discard(client)
        self._pinged.discard(client)
        self._quiet.discard(client)
        self._closing.put(client, self._seconds())
        self.finishing(client)

    def left(self, client: SubscriberProtocol, code: str, reads: Subscription | None) -> None:
        """A client with a place has gone, with this close code, and may have had more to come."""
        self.hub.counts.closed(client.kind, code, reads, self._seconds())

    def lost(self, client: SubscriberProtocol) -> None:
        """A client has gone."""
        for deadlines in self._deadlines:
            deadlines.discard(client)
        self.reception.lost(client)

    def _sweep_steps(self) -> Iterator[None]:
        now = self._seconds()
        for client in self._finishing.pop_due(now):
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
        for client in self._quiet.pop_due(now):
            client.heartbeat()
            yield
        for client in self._closing.pop_due(now):
            # One that takes nothing any more is given up by the kernel, see stall_timeout.
            if client.transport.unsent():
                self._closing.put(client, now)
            else:
                client.dropConnection()
            yield
