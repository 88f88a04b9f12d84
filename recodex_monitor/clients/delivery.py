"""Delivery: what one connection reads of a channel, sent as far as the connection takes it."""

import re
from collections.abc import Callable
from typing import Any, Protocol

from recodex_monitor.channels.channel import Subscription
from recodex_monitor.clients.encoding import Encoding

_EVENT_ID = re.compile(r"([A-Za-z0-9_-]+):([1-9][0-9]{0,9})")


class Client(Protocol):
    """The connection to which a channel is delivered."""

    transport: Any

    def sent(self) -> None:
        """Something was sent; only called where messages have ids."""

    def finishing(self) -> None:
        """The channel has ended, and the client has more to take."""

    def delivered(self) -> None:
        """All is sent, and nothing more will come: the channel has ended, or we stop."""

    def abandon(self) -> None:
        """End the connection after a bug of ours."""


class Delivery(Subscription):
    """A subscription whose reader is a connection.

    It holds what a delivery needs and nothing else, so that a message for thousands of readers
    touches one small object for each: that makes a delivery a tenth cheaper.

    Attributes:
        leaving: to end as soon as all is read, though the channel goes on.
    """

    __slots__ = ("_client", "_send", "leaving")

    def __init__(self, client: Client, send: Callable[[bytes], int]) -> None:
        """Begin at the channel's first message.

        Args:
            client: takes what ``send`` does not, and ends the connection.
            send: passes bytes on at once, and returns how many; called while nothing waits to
                be sent.
        """
        super().__init__()
        self._client = client
        self._send = send
        self.leaving = False

    def wake(self) -> bool:
        """Send what comes next; see Subscription."""
        if chunk := self.read():
            try:
                sent = self._send(chunk)
            except OSError:
                sent = 0  # It waits, or the reactor finds what is wrong with the connection.
            if sent != len(chunk):
                self._client.transport.write(chunk[sent:])
        channel = self.channel
        if self.position != len(channel.log):
            if channel.end is not None:
                self._client.finishing()
            return not self.waits
        if channel.end is not None or self.leaving:
            self._client.delivered()
        return False

    def abandon(self) -> None:
        """End the connection; see Subscription."""
        self._client.abandon()


class ResumableDelivery(Delivery):
    """A delivery of messages with ids, which can begin behind any of them.

    Attributes:
        count: messages of the channel that were read or skipped.
    """

    __slots__ = ("_encoding", "count")

    def __init__(self, client: Client, send: Callable[[bytes], int], encoding: Encoding) -> None:
        """Begin at the channel's first message, see Delivery."""
        super().__init__(client, send)
        self._encoding = encoding
        self.count = 0

    def resume(self, after: str) -> bool:
        """Begin behind the message with this id; False where this channel has no such message.

        Call it after ``Hub.subscribe`` and before the first ``Hub.wake``.
        """
        event_id = _EVENT_ID.fullmatch(after)
        if event_id is None or event_id[1] != self.channel.epoch:
            return False
        count = int(event_id[2])
        if count > self.channel.count:
            return False
        self.count, self.position = count, self.channel.position(count)
        return True

    @property
    def last_id(self) -> str | None:
        """The id of the last message that was read or skipped; None without one."""
        return f"{self.channel.epoch}:{self.count}" if self.count else None

    def read(self) -> bytes:
        """Take the next messages, encoded; see Subscription."""
        frames = super().read()
        if not frames:
            return frames
        encoded, self.count = self._encoding(frames, self.channel.epoch, self.count)
        self._client.sent()
        return encoded
