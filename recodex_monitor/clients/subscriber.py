"""A WebSocket client that follows one channel, from its handshake to its end."""

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.channels.trials import is_trial
from recodex_monitor.clients.close_codes import (
    NORMAL,
    POLICY,
    RESTART,
    TOO_BIG,
    TRY_LATER,
    UNSUPPORTED,
    Ending,
)
from recodex_monitor.clients.delivery import (
    Delivery,
    ResumableDelivery,
    log_subscribed,
    log_unsubscribed,
)
from recodex_monitor.clients.encoding import FRAMES
from recodex_monitor.clients.failing import STOPPING, end_early
from recodex_monitor.clients.refusals import ENGINE_AWAY, NOT_READABLE, refusal_of
from recodex_monitor.clients.websocket_client import WebSocketClient
from recodex_monitor.network.tokens import Token, TokenRefused

if TYPE_CHECKING:
    from recodex_monitor.clients.websocket import SubscriberProtocol


@implementer(IPushProducer)
class Subscriber(WebSocketClient):
    """A client that may subscribe to one channel; a ``delivery.Recipient``.

    Attributes:
        channel_id: of its channel; None before it has sent one.
        delivery: its subscription; None before it begins and after it has ended.
        frames: data frames that were received; all those of the channel id count as one.
    """

    __slots__ = ("_after", "channel_id", "delivery", "frames", "is_plain_page", "token")
    kind = "websocket"

    def __init__(
        self, connection: "SubscriberProtocol", address: str, after: str | None, origin: str = ""
    ) -> None:
        """Begin without a channel.

        Args:
            connection: carries the frames.
            address: of the client.
            after: the id after which to resume; None for a client that understands no ids.
            origin: of the page that has connected; empty for a program.
        """
        super().__init__(connection, address)
        self.channel_id: str | None = None
        self.delivery: Delivery | None = None
        self.frames = 0
        self.token: Token | None = None
        self.is_plain_page = bool(origin) and after is None
        self._after = after

    def expects_message(self) -> bool:
        """Whether the client has not sent its channel id yet."""
        return self.channel_id is None

    @property
    def position(self) -> int:
        """See WebSocketClient."""
        return self.delivery.position if self.delivery is not None else 0

    def frame_begun(self, length: int) -> None:
        """Count a data frame: a client may only send so many; see WebSocketClient."""
        self.frames += 1
        if self.frames > 1 + self.connection.factory.settings.limits.ignored_messages:
            self.connection.sendCloseFrame(POLICY, b"nothing but the channel id is expected")

    def received(self, payload: bytes, is_binary: bool) -> None:
        """Follow the channel whose id this is; see WebSocketClient."""
        connection = self.connection
        if not self.expects_message():
            return
        if is_binary:
            connection.sendCloseFrame(UNSUPPORTED, b"send the channel id as a text message")
        elif not payload:
            connection.sendCloseFrame(POLICY, b"the channel id is empty")
        elif len(payload) > connection.factory.settings.limits.max_channel_id:
            connection.sendCloseFrame(TOO_BIG, b"the channel id is too long")
        elif _may_follow(self, channel_id := payload.decode()):
            self._follow(channel_id)

    def _follow(self, channel_id: str) -> None:
        """Follow this channel, as soon as its messages are loaded."""

        def refuse(error: NoRoom = ENGINE_AWAY) -> None:
            refused = refusal_of(error)
            factory.connections.refused.add(refused.reason, error)
            is_away = refused is NOT_READABLE
            reason = b"the cluster's engine is away" if is_away else b"too many channels"
            end_early(self.connection, TRY_LATER, reason)

        def begin() -> None:
            try:
                self._begin()
            except NoRoom as error:
                refuse(error)

        factory = self.connection.factory
        self.channel_id, self.frames = channel_id, 1
        factory.keepalive.subscribed(self)
        try:
            after = self._after or ""
            factory.hub.source.when_loaded(channel_id, begin, refuse, after)
        except NoRoom as error:
            refuse(error)

    def _begin(self) -> None:
        """Follow the channel; see channels.source."""
        factory, transport = self.connection.factory, self.connection.transport
        if self.connection.state != self.connection.STATE_OPEN or self.channel_id is None:
            return
        if self._after is None:
            delivery = Delivery(self, transport)
        else:
            delivery = ResumableDelivery(self, transport, FRAMES)
        delivery.is_paused = self.is_paused
        factory.hub.subscribe(self.channel_id, delivery)
        self.delivery = delivery
        factory.access.begin(self, self.token)
        log_subscribed(self.address, self.channel_id)
        if isinstance(delivery, ResumableDelivery):
            recovered = delivery.resume(self._after or "")
            self.tell(factory.announcements.subscribed(delivery.channel, recovered=recovered))
        factory.hub.wake(delivery)

    def use_token(self, text: str) -> None:
        """Close the connection if the token is not accepted; see WebSocketClient."""
        try:
            self.token = self.connection.factory.access.token(text)
        except TokenRefused as refused:
            _refuse_token(self, refused.detail)

    def expired(self) -> None:
        """Close the connection, because the token has expired; see access.Expiring."""
        _refuse_token(self, "expired")

    def unsubscribe(self) -> None:
        """End the subscription, if there is one."""
        delivery, self.delivery = self.delivery, None
        if delivery is not None:
            self.connection.factory.access.discard(self)
            self.connection.factory.hub.unsubscribe(delivery)

    def delivered(self) -> None:
        """Close the connection; see Recipient."""
        channel = self.delivery.channel if self.delivery is not None else None
        if channel is not None and channel.end is not None:
            if self._after is not None:
                self.tell(self.connection.factory.announcements.end(channel))
            self.connection.sendCloseFrame(NORMAL)
        else:
            end_early(self.connection, RESTART, STOPPING)

    def leave(self) -> None:
        """Close the connection, after all messages so far; see WebSocketClient."""
        if self.delivery is None:
            end_early(self.connection, RESTART, STOPPING)
        else:
            self.delivery.leaving = True
            self.connection.factory.hub.wake(self.delivery)

    def closed(self, ended: Ending) -> None:
        """Count and log that the connection has ended; see WebSocketClient."""
        delivery, factory = self.delivery, self.connection.factory
        self.unsubscribe()
        if not is_trial(self.channel_id):
            factory.hub.counters.closed(self.kind, ended.code, delivery, factory.seconds())
        if self.channel_id is not None:
            log_unsubscribed(self.address, self.channel_id, ended.why)

    def pauseProducing(self) -> None:
        """Called by the transport, from within our writes, when the client takes no more."""
        self.is_paused = True
        if self.delivery is not None:
            self.delivery.is_paused = True

    def resumeProducing(self) -> None:
        """Called by the transport when everything that was written is sent."""
        self.is_paused = False
        if self.delivery is not None:
            self.delivery.is_paused = False
            self.connection.factory.hub.wake(self.delivery)

    stopProducing = pauseProducing
    """Called by the transport when the connection is lost."""


def _may_follow(subscriber: Subscriber, channel_id: str) -> bool:
    """Whether the client may follow this channel; if not, its connection is closed."""
    try:
        subscriber.connection.factory.access.check(subscriber.token, channel_id)
    except TokenRefused as refused:
        _refuse_token(subscriber, refused.detail)
        return False
    return True


def _refuse_token(subscriber: Subscriber, detail: str) -> None:
    subscriber.connection.sendCloseFrame(POLICY, b"token: %b" % detail.encode())
