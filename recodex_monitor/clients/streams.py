"""A channel over plain HTTP: what all such answers share, and the event stream.

An event stream is an answer of the type text/event-stream. ``snapshots`` has the other kind.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from twisted.internet.interfaces import IPushProducer
from twisted.logger import LogLevel
from zope.interface import implementer

from recodex_monitor.channels.trials import is_trial
from recodex_monitor.clients.delivery import ResumableDelivery, log_subscribed, log_unsubscribed
from recodex_monitor.clients.encoding import EVENTS, Encoding, event
from recodex_monitor.network.tokens import Token
from recodex_monitor.timing.timeouts import Timeouts

if TYPE_CHECKING:
    from recodex_monitor.clients.stream_factory import StreamFactory


class Timed(Protocol):
    """What is called when its time is up."""

    def timed_out(self) -> None:
        """Called by the factory, some time after it was last put among its timeouts."""


@implementer(IPushProducer)
class Stream:
    """A request that is answered with the messages of a channel; a ``delivery.Recipient``.

    Attributes:
        content_type: of the answer.
        token: with which the channel is followed.
        kind: see channel.Client.
        address: see channel.Client.
        request: the request.
    """

    content_type: ClassVar[bytes]
    kind: ClassVar[str]
    _encoding: ClassVar[Encoding]
    _log_level: ClassVar[Any]  # of the log lines about followers
    token: Token | None = None
    _delivery: ResumableDelivery | None = None
    _finished = False

    def __init__(
        self,
        factory: "StreamFactory",
        request: Any,
        channel_id: str,
        timeouts: Timeouts[Timed],
    ) -> None:
        """Prepare to follow a channel.

        Args:
            factory: calls the stream when its time is up.
            request: a ``twisted.web.http.Request`` on an ``HttpConnection``; its headers are set,
                and nothing is written yet.
            channel_id: of the channel.
            timeouts: those of the factory's in which this stream will be.
        """
        self.request = request
        self._factory = factory
        self._channel_id = channel_id
        self._timeouts = timeouts
        self.address: str | None = request.channel.address

    def begin(self, after: str) -> None:
        """Follow the channel: after the message with this id, or else from the first message.

        Raises:
            NoRoom: there are too many channels.
        """
        delivery = ResumableDelivery(self, self, self._encoding)
        self._factory.hub.subscribe(self._channel_id, delivery)
        self._delivery = delivery
        self._factory.access.begin(self, self.token)
        connection = self.request.channel
        connection.stream = self
        log_subscribed(self.address, self._channel_id, self._log_level)
        # The request's own registerProducer would leave a reference cycle when a client is lost.
        connection.registerProducer(self, True)
        self._opened(delivery, delivery.resume(after))
        self._factory.hub.wake(delivery)

    def _opened(self, delivery: ResumableDelivery, recovered: bool) -> None:
        """Called before anything is written; ``recovered`` says whether the id was found."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Write to the answer; see delivery.Sender."""
        self.request.write(data)

    def sent(self) -> None:
        """Called after messages were sent; see Recipient."""
        raise NotImplementedError

    def timed_out(self) -> None:
        """Called by the factory when the stream's time is up."""
        raise NotImplementedError

    def delivered(self) -> None:
        """End the answer; see Recipient."""
        raise NotImplementedError

    def finishing(self) -> None:
        """Bound the time in which the client reads the rest; see Recipient."""
        self.request.channel.finishing()

    def abandon(self) -> None:
        """Cut the connection after an internal error; see Recipient."""
        self._unsubscribe()
        self.request.channel.cut()

    def leave(self) -> None:
        """End the answer once the client has all messages so far."""
        if self._delivery is not None:
            self._delivery.leaving = True
            self._factory.hub.wake(self._delivery)

    def finish(self) -> None:
        """End the answer now."""
        self._unsubscribe()
        self._finished = True
        self.request.channel.unregisterProducer()
        self.request.finish()

    expired = finish
    """Called when the token has expired; see access.Expiring."""

    def lost(self) -> None:
        """Called when the connection has ended."""
        counters, now = self._factory.hub.counters, self._factory.seconds()
        if not is_trial(self._channel_id):
            counters.closed(self.kind, "done" if self._finished else "lost", self._delivery, now)
        self._unsubscribe()
        why = "all was sent" if self._finished else "the connection was lost"
        log_unsubscribed(self.address, self._channel_id, why, self._log_level)

    def _unsubscribe(self) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            self._timeouts.discard(self)
            self._factory.access.discard(self)
            self._factory.hub.unsubscribe(delivery)

    def pauseProducing(self) -> None:
        """Called by the transport, from within our writes, when the client takes no more."""
        if self._delivery is not None:
            self._delivery.is_paused = True

    def resumeProducing(self) -> None:
        """Called by the transport when everything that was written is sent."""
        if self._delivery is not None:
            self._delivery.is_paused = False
            self._factory.hub.wake(self._delivery)

    stopProducing = pauseProducing
    """Called by the transport when the connection is lost."""


class EventStream(Stream):
    """Events as they come, until the channel ends."""

    content_type = b"text/event-stream"
    kind = "events"
    _encoding = EVENTS
    _log_level = LogLevel.info

    def __init__(self, factory: "StreamFactory", request: Any, channel_id: str) -> None:
        """Prepare to follow a channel; see Stream."""
        super().__init__(factory, request, channel_id, factory.silent)

    def _opened(self, delivery: ResumableDelivery, recovered: bool) -> None:
        if recovered and delivery.channel.end is not None and not delivery.behind:
            # An EventSource would connect again after any other answer.
            self.request.setResponseCode(204)
            self.finish()
        else:
            # A separate block: the first progress.js expects SUBSCRIBED's to begin with its data.
            self.request.write(b"retry: %d\n\n" % self._factory.retry_delay())
            told = self._factory.announcements.subscribed(delivery.channel, recovered=recovered)
            self._tell(told)

    def _tell(self, text: bytes) -> None:
        self.request.write(event(text))
        self.sent()

    def sent(self) -> None:
        """Put off the next comment; see Recipient."""
        self._timeouts.put(self, self._factory.seconds())

    def timed_out(self) -> None:
        """Send a comment, so that no proxy takes the connection for dead; see Stream."""
        if self._delivery is not None and not self._delivery.is_paused:
            self.request.write(b": \n\n")
        self.sent()

    def delivered(self) -> None:
        """Say how the channel ended, if it did, and end the answer; see Recipient."""
        channel = self._delivery.channel if self._delivery is not None else None
        if channel is not None and channel.end is not None:
            self._tell(self._factory.announcements.end(channel))
        self.finish()
