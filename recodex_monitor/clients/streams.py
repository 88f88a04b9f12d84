"""A channel over plain HTTP: as a text/event-stream, or as one JSON object, now or later."""

import json
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger, LogLevel
from zope.interface import implementer

from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.delivery import ResumableDelivery
from recodex_monitor.clients.encoding import EVENTS, ITEMS, Encoding, text_of
from recodex_monitor.settings.schema import Limits
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import Turns
from recodex_monitor.timing.timeouts import Deadlines

_log = Logger()

MAX_WAIT = 60
"""Seconds for which a snapshot may wait."""


def _always(wait: int) -> Callable[[], float]:
    return lambda: wait


class Streams:
    """What streams share: the hub, and a sweep over their times.

    Attributes:
        hub: has the channels.
        silent: event streams, since something was sent.
        waiting: snapshots that wait, by the seconds for which they do.
    """

    def __init__(self, hub: Hub, limits: Limits, clock: Clock) -> None:
        """There is no stream yet.

        Args:
            hub: has the channels.
            limits: of the streams.
            clock: tells the time.
        """
        self.hub = hub
        self.silent = Deadlines[Stream](lambda: limits.event_comment)
        self.waiting = [Deadlines[Stream](_always(wait)) for wait in range(MAX_WAIT + 1)]
        self.seconds = clock.seconds
        self.sweep = Turns(clock, self._sweep_steps)
        """Sees to the streams whose time is up; call it every second."""

    def _sweep_steps(self) -> Iterator[None]:
        now = self.seconds()
        for deadlines in (self.silent, *self.waiting):
            for stream in deadlines.pop_due(now):
                stream.due()
                yield


@implementer(IPushProducer)
class Stream:
    """A request that is answered by what its channel has: a ``delivery.Client``.

    Attributes:
        content_type: of the answer.
        kind: see channel.Reader.
        transport: the request.
    """

    content_type: ClassVar[bytes]
    kind: ClassVar[str]
    _encoding: ClassVar[Encoding]
    _level: ClassVar[Any]  # of lines in the log
    _delivery: ResumableDelivery | None = None
    _finished = False

    def __init__(
        self, streams: Streams, request: Any, channel_id: str, deadlines: Deadlines["Stream"]
    ) -> None:
        """Follow nothing yet.

        Args:
            streams: what all share.
            request: a ``twisted.web.http.Request`` of which nothing is answered but the headers,
                on a ``web.Connection``.
            channel_id: of the channel.
            deadlines: those of the Streams' in which it will stand.
        """
        self.transport = request
        self._streams = streams
        self._channel_id = channel_id
        self._deadlines = deadlines
        self.address: str | None = request.channel.address

    def begin(self, after: str) -> None:
        """Follow the channel from behind the message with this id, or else from the first on.

        Raises:
            NoRoom: there is no room for the channel.
        """
        delivery = ResumableDelivery(self, self._send, self._encoding)
        delivery.reader = self
        self._streams.hub.subscribe(self._channel_id, delivery)
        self._delivery = delivery
        connection = self.transport.channel
        connection.stream = self
        text = "{peer} follows {channel!r}"
        _log.emit(self._level, text, peer=self.address, channel=self._channel_id)
        # The request's own method would leave a cycle behind a connection that is lost.
        connection.registerProducer(self, True)
        self._opened(delivery, delivery.resume(after))
        self._streams.hub.wake(delivery)

    def _opened(self, delivery: ResumableDelivery, recovered: bool) -> None:
        """The channel is followed, and nothing is written yet."""
        raise NotImplementedError

    def _send(self, data: bytes) -> int:
        self.transport.write(data)
        return len(data)

    def sent(self) -> None:
        """Something is sent; see delivery.Client."""
        raise NotImplementedError

    def due(self) -> None:
        """The stream's time in its deadlines is over."""
        raise NotImplementedError

    def delivered(self) -> None:
        """End the answer; see delivery.Client."""
        raise NotImplementedError

    def finishing(self) -> None:
        """See to it that the client takes its time within bounds; see delivery.Client."""
        self.transport.channel.finishing()

    def abandon(self) -> None:
        """End the connection after a bug of ours; see delivery.Client."""
        self._unsubscribe()
        self.transport.channel.cut()

    def leave(self) -> None:
        """End once the client has got all that there is."""
        if self._delivery is not None:
            self._delivery.leaving = True
            self._streams.hub.wake(self._delivery)

    def finish(self) -> None:
        """End the answer as it is."""
        self._unsubscribe()
        self._finished = True
        self.transport.channel.unregisterProducer()
        self.transport.finish()

    def lost(self) -> None:
        """The connection has gone."""
        counts, now = self._streams.hub.counts, self._streams.seconds()
        counts.closed(self.kind, "done" if self._finished else "lost", self._delivery, now)
        self._unsubscribe()
        why = "all was sent" if self._finished else "the connection was lost"
        text = "{peer} of {channel!r} has gone: {why}"
        _log.emit(self._level, text, peer=self.address, channel=self._channel_id, why=why)

    def _unsubscribe(self) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            self._deadlines.discard(self)
            self._streams.hub.unsubscribe(delivery)

    def pauseProducing(self) -> None:
        """Called by the transport, from within our writes, when the client takes no more."""
        if self._delivery is not None:
            self._delivery.waits = True

    def resumeProducing(self) -> None:
        """Called by the transport when the client has taken all that was written."""
        if self._delivery is not None:
            self._delivery.waits = False
            self._streams.hub.wake(self._delivery)

    def stopProducing(self) -> None:
        """Called by the transport when the connection has gone."""
        self.pauseProducing()


class EventStream(Stream):
    """Events as they come, to the channel's end."""

    content_type = b"text/event-stream"
    kind = "events"
    _encoding = EVENTS
    _level = LogLevel.info

    def __init__(self, streams: Streams, request: Any, channel_id: str) -> None:
        """Follow nothing yet; see Stream."""
        super().__init__(streams, request, channel_id, streams.silent)

    def _opened(self, delivery: ResumableDelivery, recovered: bool) -> None:
        if recovered and delivery.channel.end is not None and not delivery.behind:
            # After any other answer an EventSource connects again.
            self.transport.setResponseCode(204)
            self.finish()
        else:
            self._tell(command="SUBSCRIBED", recovered=recovered)

    def _tell(self, **keys: object) -> None:
        self.transport.write(b"data: %b\n\n" % text_of(**keys))
        self.sent()

    def sent(self) -> None:
        """Wait with the next comment; see delivery.Client."""
        self._deadlines.put(self, self._streams.seconds())

    def due(self) -> None:
        """Send a comment, so that no proxy takes the connection for dead."""
        if self._delivery is not None and not self._delivery.waits:
            self.transport.write(b": \n\n")
        self.sent()

    def delivered(self) -> None:
        """Tell how the channel ended, unless the monitor stops; see delivery.Client."""
        end = self._delivery.channel.end if self._delivery is not None else None
        if end is not None:
            self._tell(command="END", reason=end)
        self.finish()


class Snapshot(Stream):
    """All messages up to now as one JSON object; a long poll waits for the first."""

    content_type = b"application/json"
    kind = "poll"
    _encoding = ITEMS
    _level = LogLevel.debug
    _recovered = False
    _begun = False

    def __init__(self, streams: Streams, request: Any, channel_id: str, wait: int) -> None:
        """Follow nothing yet; see Stream.

        Args:
            streams: see Stream.
            request: see Stream.
            channel_id: see Stream.
            wait: seconds for which a message is waited for, MAX_WAIT at most.
        """
        super().__init__(streams, request, channel_id, streams.waiting[wait])
        self._waits = wait > 0

    def begin(self, after: str) -> None:
        """Follow the channel, unless nobody has heard of it and it is not to be waited for."""
        if self._waits or self._channel_id in self._streams.hub.channels:
            super().begin(after)
        else:
            self._write_head()
            self._write_tail(None, None)
            self.transport.finish()

    def _opened(self, delivery: ResumableDelivery, recovered: bool) -> None:
        self._recovered = recovered
        if self._waits:
            self._deadlines.put(self, self._streams.seconds())
        else:
            self.sent()

    def sent(self) -> None:
        """Go on to where the messages end now; see delivery.Client."""
        if self._delivery is not None:
            self._delivery.leaving = True
            self.finishing()

    def due(self) -> None:
        """Answer that nothing has come."""
        self.leave()

    def _send(self, data: bytes) -> int:
        if self._begun:
            return super()._send(data)
        self._write_head()
        return 1 + super()._send(data[1:])  # There is no item before the first, and no comma.

    def _write_head(self) -> None:
        self._begun = True
        channel, recovered = json.dumps(self._channel_id), json.dumps(self._recovered)
        head = f'{{"channel": {channel}, "recovered": {recovered}, "messages": ['
        self.transport.write(head.encode())

    def _write_tail(self, last: str | None, end: str | None) -> None:
        tail = f'], "last": {json.dumps(last)}, "end": {json.dumps(end)}}}\n'
        self.transport.write(tail.encode())

    def delivered(self) -> None:
        """End the object; see delivery.Client."""
        if not self._begun:
            self._write_head()
        if self._delivery is not None:
            self._write_tail(self._delivery.last_id, self._delivery.channel.end)
        self.finish()
