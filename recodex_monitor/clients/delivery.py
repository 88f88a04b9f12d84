"""Delivery: what a client reads of its channel, sent as fast as its connection takes it."""

from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from twisted.logger import Logger, LogLevel

from recodex_monitor.channels.channel import Channel, Client, Subscription
from recodex_monitor.channels.event_ids import count_at
from recodex_monitor.clients.encoding import Encoding

_log = Logger()


class Recipient(Client, Protocol):
    """A client to which the messages of a channel are delivered."""

    def sent(self) -> None:
        """Called after something was sent; only if the messages have ids."""

    def finishing(self) -> None:
        """Called if the channel has ended and the client has not taken everything yet."""

    def delivered(self) -> None:
        """Called when all is sent and nothing will follow: the channel has ended, or we stop."""

    def abandon(self) -> None:
        """Called to end the connection after an internal error."""


class Sender(Protocol):
    """Sends bytes to a client."""

    def send(self, data: bytes) -> None:
        """Send these bytes; only called if nothing is waiting to be sent."""


class Delivery(Subscription):
    """A client's subscription.

    It has only what a delivery needs: a message to thousands of clients touches one small object
    for each of them, which makes a delivery a tenth cheaper.

    Attributes:
        leaving: end as soon as everything is read, although the channel goes on.
    """

    __slots__ = ("_sender", "leaving")
    client: Recipient

    def __init__(self, client: Recipient, sender: Sender) -> None:
        """Begin at the channel's first message.

        Args:
            client: receives the messages.
            sender: sends them, such as the client's transport.
        """
        super().__init__()
        self.client = client
        self._sender = sender
        self.leaving = False

    def wake(self) -> bool:
        """Send what comes next; see Subscription."""
        if chunk := self.read():
            self._sender.send(chunk)
        channel = self.channel
        if self.position != len(channel.log):
            if channel.end is not None:
                self.client.finishing()
            return not self.is_paused
        if channel.end is not None or self.leaving:
            self.client.delivered()
        return False

    def abandon(self) -> None:
        """End the connection; see Subscription."""
        self.client.abandon()

    def restart(self) -> None:
        """End the connection as when the monitor stops, so that the client comes again."""
        self.channel, self.position = Channel(self.channel.id, self.channel.epoch), 0
        self.client.delivered()


class Resumable(Subscription):
    """A subscription to messages with ids, which can begin after any of them.

    Attributes:
        count: messages of the channel that were read or skipped.
    """

    __slots__ = tuple[str, ...]()  # Subclasses have the slots: two bases cannot both have some.
    count: int
    _encoding: Encoding

    def resume(self, after: str) -> bool:
        """Begin after the message with this id; False if the channel has no such message.

        Call it after ``Hub.subscribe`` and before the first ``Hub.wake``.
        """
        count = count_at(self.channel, after)
        if count is None:
            self.count = self.channel.skipped
            return False
        self.count, self.position = count, self.channel.position(count)
        return True

    @property
    def has_ids(self) -> bool:
        """True: the client knows the messages by their ids."""
        return True

    @property
    def last_id(self) -> str | None:
        """The id of the last message that was read or skipped; None before the first."""
        return f"{self.channel.epoch}:{self.count}" if self.count else None

    def read(self) -> bytes:
        """Take the next messages, encoded; see Subscription."""
        frames = super().read()
        if not frames:
            return frames
        encoded, self.count = self._encoding(frames, self.channel, self.count)
        return encoded


class ResumableDelivery(Resumable, Delivery):
    """A delivery of messages with ids, which can begin after any of them."""

    __slots__ = ("_encoding", "count")

    def __init__(self, client: Recipient, sender: Sender, encoding: Encoding) -> None:
        """Begin at the channel's first message; see Delivery.

        Args:
            client: see Delivery.
            sender: see Delivery.
            encoding: adds the ids.
        """
        super().__init__(client, sender)
        self._encoding = encoding
        self.count = 0

    def read(self) -> bytes:
        """Take the next messages, encoded, and tell the client; see Subscription."""
        if encoded := super().read():
            self.client.sent()
        return encoded


def resume_point(target: str) -> str | None:
    """The id after which a request's target asks to resume; None if its query does not say.

    It is the parameter ``after``, or ``lastEventId``, which libraries add that stand in for a
    browser's EventSource: it is newer than what the page itself has written into the URL.
    """
    values = _arguments(target)
    found = [*values.get("lastEventId", ())[-1:], *values.get("after", ())[:1]]
    return next(filter(None, found), "") if found else None


def has_argument(target: str, name: str) -> bool:
    """Whether the query of a request's target has this parameter, with any value or none."""
    return name in _arguments(target)


def _arguments(target: str) -> dict[str, list[str]]:
    try:
        return parse_qs(urlsplit(target).query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return {}


def log_subscribed(address: str | None, channel_id: str, level: Any = LogLevel.info) -> None:
    """Log that the client with this address has begun to follow a channel."""
    _log.emit(
        level, "{peer} follows {channel!r}", event="followed", peer=address, channel=channel_id
    )


def log_unsubscribed(
    address: str | None, channel_id: str, why: str, level: Any = LogLevel.info
) -> None:
    """Log that the client with this address no longer follows a channel, and why."""
    text = "{peer} no longer follows {channel!r}: {why}"
    _log.emit(level, text, event="left", peer=address, channel=channel_id, why=why)
