"""A channel over plain HTTP as a snapshot, now or, as a long poll, when a message has come."""

import json
from typing import TYPE_CHECKING, Any

from twisted.logger import LogLevel

from recodex_monitor.clients.delivery import ResumableDelivery
from recodex_monitor.clients.encoding import ITEMS
from recodex_monitor.clients.streams import Stream

if TYPE_CHECKING:
    from recodex_monitor.clients.stream_factory import StreamFactory

MAX_WAIT = 60
"""Seconds for which a long poll may wait, at most."""


class Snapshot(Stream):
    """All messages so far as one JSON object; a long poll waits for the first message."""

    content_type = b"application/json"
    kind = "poll"
    _encoding = ITEMS
    _log_level = LogLevel.debug
    _recovered = False
    _begun = False

    def __init__(self, factory: "StreamFactory", request: Any, channel_id: str, wait: int) -> None:
        """Prepare to follow a channel.

        Args:
            factory: see Stream.
            request: see Stream.
            channel_id: see Stream.
            wait: seconds to wait for the first message, from 0 to MAX_WAIT.
        """
        super().__init__(factory, request, channel_id, factory.polls[wait])
        self._is_long_poll = wait > 0

    def begin(self, after: str) -> None:
        """Answer; a channel that does not exist is only followed by a long poll."""
        if self._is_long_poll or self._factory.hub.retention.find(self._channel_id):
            super().begin(after)
        else:
            self._write_head()
            told = self._factory.announcements.present(None)
            self._write_tail(last=None, end=None, outcome=None, **told)
            self.request.finish()

    def _opened(self, delivery: ResumableDelivery, recovered: bool) -> None:
        self._recovered = recovered
        if self._is_long_poll:
            self._timeouts.put(self, self._factory.seconds())
        else:
            self.sent()

    def sent(self) -> None:
        """Send the rest of the messages so far, and end; see Recipient."""
        if self._delivery is not None:
            self._delivery.leaving = True
            self.finishing()

    expired = Stream.leave
    """Called when the token has expired: answer with the messages so far; see Stream."""

    def timed_out(self) -> None:
        """Answer that no message has come; see Stream."""
        self.leave()

    def send(self, data: bytes) -> None:
        """Write items of the object's list; see Stream."""
        if not self._begun:
            self._write_head()
            data = data[1:]  # No comma before the first item.
        super().send(data)

    def _write_head(self) -> None:
        self._begun = True
        channel, recovered = json.dumps(self._channel_id), json.dumps(self._recovered)
        head = f'{{"channel": {channel}, "recovered": {recovered}, "messages": ['
        self.request.write(head.encode())

    def _write_tail(self, **keys: object) -> None:
        tail = f"], {json.dumps(keys)[1:]}\n"
        self.request.write(tail.encode())

    def delivered(self) -> None:
        """End the object; see Recipient."""
        if not self._begun:
            self._write_head()
        if self._delivery is not None:
            channel = self._delivery.channel
            keys = self._factory.announcements.present(channel)
            if channel.forgotten is not None:
                keys["forgotten_at"] = round(self._factory.wall(channel.forgotten), 2)
            last = self._delivery.last_id
            self._write_tail(last=last, end=channel.end, outcome=channel.outcome, **keys)
        self.finish()
