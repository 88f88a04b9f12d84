"""Many channels over plain HTTP, as one event stream."""

from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from recodex_monitor.channels.event_ids import count_at
from recodex_monitor.clients.delivery import log_subscribed, log_unsubscribed
from recodex_monitor.clients.encoding import JOBS_EVENTS, event
from recodex_monitor.clients.following import FollowedChannels, Shared, refused
from recodex_monitor.clients.opening import stream_headers
from recodex_monitor.clients.paths import unquoted
from recodex_monitor.network.tokens import Token

if TYPE_CHECKING:
    from recodex_monitor.clients.stream_factory import StreamFactory

_FOLLOW = b"follow="


class Follow(NamedTuple):
    """A channel to follow: after the message with the id ``after``, or from the first if empty."""

    channel_id: str
    after: str


def followed_in(target: bytes) -> list[Follow]:
    """The channels that the query of a request's target names, each once.

    Raises:
        Refused: an id is not UTF-8, or badly encoded.
    """
    _, _, query = target.partition(b"?")
    found: dict[str, Follow] = {}
    for parameter in query.split(b"&"):
        if parameter.startswith(_FOLLOW):
            channel, _, after = parameter.removeprefix(_FOLLOW).partition(b"@")
            channel_id = unquoted(channel)
            found.setdefault(channel_id, Follow(channel_id, unquoted(after)))
    return list(found.values())


@implementer(IPushProducer)
class JobsStream:
    """A request that is answered with the messages of many channels; a ``following.JobsClient``.

    Attributes:
        kind: see channel.Client.
        address: see channel.Client.
    """

    kind = "jobs-events"

    def __init__(
        self,
        factory: "StreamFactory",
        shared: Shared,
        request: Any,
        follows: list[Follow],
        token: Token | None,
    ) -> None:
        """Prepare to follow these channels.

        Args:
            factory: calls the stream when it is time for a comment.
            shared: see Shared.
            request: see streams.Stream.
            follows: the channels.
            token: with which they are followed.
        """
        self.address: str | None = request.channel.address
        self._factory = factory
        self._request = request
        self._follows = follows
        self._following = FollowedChannels(shared, self, JOBS_EVENTS, event)
        self._following.token = token
        self._has_begun = self._is_finished = False

    def begin(self, last: str) -> None:
        """Follow the channels; that of the message with the id ``last`` after that message."""
        request, connection = self._request, self._request.channel
        stream_headers(request, b"text/event-stream")
        follows = [self._resumed(one, last) for one in self._follows]
        if all(self._factory.is_over(*one) for one in follows):
            # An EventSource would connect again after any other answer.
            request.setResponseCode(204)
            request.finish()
            return
        if request.method == b"HEAD":
            request.finish()
            return
        connection.stream = self
        connection.registerProducer(self, True)
        request.write(b"retry: %d\n\n" % self._factory.retry_delay())
        self.sent()
        for one in follows:
            self._following.request(*one)
        self._has_begun = True
        self.nothing_followed()

    def _resumed(self, follow: Follow, last: str) -> Follow:
        channel = self._factory.hub.retention.find(follow.channel_id)
        if channel is not None and count_at(channel, last) is not None:
            return follow._replace(after=last)
        return follow

    def send(self, data: bytes) -> None:
        """Write to the answer; see JobsClient."""
        self._request.write(data)
        self.sent()

    def sent(self) -> None:
        """Put off the next comment."""
        self._factory.silent.put(self, self._factory.seconds())

    def timed_out(self) -> None:
        """Send a comment, so that no proxy takes the connection for dead; see Timed."""
        if not self._following.is_paused:
            self._request.write(b": \n\n")
        self.sent()

    def followed(self, channel_id: str) -> None:
        """Log that the client follows a channel; see JobsClient."""
        log_subscribed(self.address, channel_id)

    def refuse(self, channel_id: str | None, reason: str, detail: str | None = None) -> None:
        """Report that a channel is not followed; see JobsClient."""
        self.send(event(refused(channel_id, reason, detail)))
        self.nothing_followed()

    def nothing_followed(self) -> None:
        """End the answer, once all channels were asked for; see JobsClient."""
        if self._has_begun and not len(self._following) and not self._is_finished:
            self._is_finished = True
            self._factory.silent.discard(self)
            self._request.channel.unregisterProducer()
            self._request.finish()

    def abandon(self) -> None:
        """Cut the connection after an internal error; see JobsClient."""
        self.cut()

    def cut(self) -> None:
        """Cut the connection; see JobsClient."""
        self._request.channel.cut()

    def leave(self) -> None:
        """End the answer once the client has all messages so far; see http_connection."""
        self._following.leave()

    def lost(self) -> None:
        """Count and log that the connection has ended; see http_connection."""
        counters, now = self._factory.hub.counters, self._factory.seconds()
        counters.closed(self.kind, "done" if self._is_finished else "lost", None, now)
        for channel_id, delivery in self._following.deliveries.items():
            counters.cut(self.kind, delivery, now)
            log_unsubscribed(self.address, channel_id, "the connection was lost")
        self._following.unfollow_all()
        self._factory.silent.discard(self)

    def pauseProducing(self) -> None:
        """Called by the transport, from within our writes, when the client takes no more."""
        self._following.is_paused = True

    def resumeProducing(self) -> None:
        """Called by the transport when everything that was written is sent."""
        self._following.is_paused = False
        self._following.resume()

    stopProducing = pauseProducing
    """Called by the transport when the connection is lost."""
