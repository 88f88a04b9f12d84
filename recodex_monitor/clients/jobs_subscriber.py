"""A WebSocket client that follows many channels, which it may change at any time."""

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from recodex_monitor.channels.frames import text_frame
from recodex_monitor.clients.close_codes import POLICY, RESTART, UNSUPPORTED, Ending
from recodex_monitor.clients.delivery import log_subscribed, log_unsubscribed
from recodex_monitor.clients.encoding import JOBS_FRAMES
from recodex_monitor.clients.failing import STOPPING, end_early
from recodex_monitor.clients.following import FollowedChannels, refused
from recodex_monitor.clients.jobs_requests import Follow, Malformed, Show, parse
from recodex_monitor.clients.websocket_client import WebSocketClient
from recodex_monitor.network.tokens import TokenRefused

if TYPE_CHECKING:
    from recodex_monitor.clients.websocket import SubscriberProtocol


@implementer(IPushProducer)
class JobsSubscriber(WebSocketClient):
    """A client that follows many channels; a ``following.JobsClient``.

    Attributes:
        following: the channels.
    """

    __slots__ = ("_began", "_bytes", "_messages", "_refusals", "_written", "following")
    kind = "jobs"
    is_plain_page = False

    def __init__(self, connection: "SubscriberProtocol", address: str) -> None:
        """Follow nothing yet; see WebSocketClient."""
        super().__init__(connection, address)
        shared = connection.factory.shared
        self.following = FollowedChannels(shared, self, JOBS_FRAMES, text_frame)
        self._written = 0
        self._refusals = b""
        # What was received in the current interval, and when that began.
        self._messages = self._bytes = 0
        self._began = connection.factory.seconds()

    @property
    def position(self) -> int:
        """See WebSocketClient."""
        return self._written

    def expects_message(self) -> bool:
        """See WebSocketClient."""
        return True

    def frame_begun(self, length: int) -> None:
        """Bound the number and the bytes of messages in an interval; see WebSocketClient."""
        limits, now = self.connection.factory.settings.limits, self.connection.factory.seconds()
        if now - self._began >= limits.client_interval:
            self._messages, self._bytes, self._began = 0, 0, now
        self._messages += 1
        self._bytes += length
        if self._messages > limits.max_client_messages or self._bytes > limits.max_client_bytes:
            self.connection.sendCloseFrame(POLICY, b"too many messages in a short time")

    def received(self, payload: bytes, is_binary: bool) -> None:
        """Follow or unfollow a channel; see WebSocketClient."""
        if is_binary:
            self.connection.sendCloseFrame(UNSUPPORTED, b"send JSON as text messages")
            return
        request = parse(payload.decode())
        if isinstance(request, Follow):
            self.following.request(request.channel_id, request.after)
        elif isinstance(request, Show):
            self.use_token(request.token)
        elif isinstance(request, Malformed):
            self.refuse(request.channel_id, "malformed")
        elif request.channel_id in self.following:
            self.following.unfollow(request.channel_id)
            log_unsubscribed(self.address, request.channel_id, "it was unfollowed")

    def use_token(self, text: str) -> None:
        """Follow channels with this token, if it is one; see WebSocketClient."""
        try:
            if text:
                self.following.use_token(text)
        except TokenRefused as refusal:
            self.refuse(None, "token", refusal.detail)

    def refuse(self, channel_id: str | None, reason: str, detail: str | None = None) -> None:
        """Report that a channel is not followed; nothing more is read before that can be sent.

        See JobsClient.
        """
        frame = text_frame(refused(channel_id, reason, detail))
        if self.is_paused:
            self._refusals += frame
            self.connection.transport.pauseProducing()
        else:
            self.connection.transport.write(frame)
            self.sent()

    def send(self, data: bytes) -> None:
        """Send what was read of a channel; see JobsClient."""
        self._written += len(data)
        self.connection.transport.send(data)
        self.sent()

    def followed(self, channel_id: str) -> None:
        """Note that the client follows something; see JobsClient."""
        self.connection.factory.keepalive.subscribed(self)
        log_subscribed(self.address, channel_id)

    def nothing_followed(self) -> None:
        """Close the connection if the monitor stops; see JobsClient."""
        if self.following.is_leaving:
            end_early(self.connection, RESTART, STOPPING)

    def unsubscribe(self) -> None:
        """Stop following all channels; see WebSocketClient."""
        self.following.unfollow_all()
        if self._refusals:
            self._refusals = b""
            self.connection.transport.resumeProducing()

    def leave(self) -> None:
        """Close the connection, after all messages so far; see WebSocketClient."""
        self.following.leave()

    def closed(self, ended: Ending) -> None:
        """Count and log that the connection has ended; see WebSocketClient."""
        factory = self.connection.factory
        counters, now = factory.hub.counters, factory.seconds()
        counters.closed(self.kind, ended.code, None, now)
        for channel_id, delivery in self.following.deliveries.items():
            counters.cut(self.kind, delivery, now)
            log_unsubscribed(self.address, channel_id, ended.why)
        self.unsubscribe()

    def pauseProducing(self) -> None:
        """Called by the transport, from within our writes, when the client takes no more."""
        self.is_paused = self.following.is_paused = True

    def resumeProducing(self) -> None:
        """Called by the transport when everything that was written is sent."""
        self.is_paused = self.following.is_paused = False
        refusals, self._refusals = self._refusals, b""
        if refusals:
            self.connection.transport.write(refusals)
            self.connection.transport.resumeProducing()
        if not self.is_paused:
            self.following.resume()

    stopProducing = pauseProducing
    """Called by the transport when the connection is lost."""
