"""Totals since the start: messages, ends, limits, clients.

Deliveries are not counted one by one, which would slow them down: what a client got follows from
the position of its subscription.
"""

from collections import Counter, deque
from typing import NamedTuple

from recodex_monitor.channels.channel import End, Subscription

COMMANDS = (
    *("DOWNLOADED", "STARTED", "TASK", "ENDED", "UPLOADED"),
    *("FINISHED", "FAILED", "ABORTED"),
)
"""The commands that are counted by name."""

OTHER = "other"
"""What all other commands, and all other close codes, are counted as."""


class Cut(NamedTuple):
    """A client that was disconnected before it had all messages of its channel.

    Attributes:
        id: of the channel.
        kind: of the client's transport.
        lasted: seconds for which it had followed.
        at: when it was disconnected, in seconds of the hub's clock.
    """

    id: str
    kind: str
    lasted: float
    at: float


class Counters:
    """The totals of a hub and its clients.

    Attributes:
        commands: messages of the broker, by command.
        last: when the last message came, in seconds of the hub's clock; None before the first.
        ends: channels that have ended, by kind of end.
        outcomes: the same channels, by how their jobs went.
        limits: messages dropped, channels evicted and clients refused, by the limit in the way.
        joined: clients that began to follow, by transport.
        gone: connections that have ended, by transport and close code.
        messages: messages read by the subscriptions that have ended.
        bytes: bytes of logs read by them.
        cuts: of the clients that were last disconnected too early.
    """

    def __init__(self) -> None:
        self.commands: dict[str, int] = dict.fromkeys((*COMMANDS, OTHER), 0)
        self.last: float | None = None
        self.ends: Counter[str] = Counter(dict.fromkeys(map(str, End), 0))
        self.outcomes: Counter[str] = Counter(self.ends)
        self.limits: Counter[str] = Counter()
        self.joined: Counter[str] = Counter()
        self.gone: Counter[tuple[str, str]] = Counter()
        self.messages = self.bytes = 0
        self.cuts: deque[Cut] = deque(maxlen=1000)

    def subscribed(self, subscription: Subscription) -> None:
        """Count a subscription that begins."""
        if subscription.client is not None:
            self.joined[subscription.client.kind] += 1
            subscription.channel.joined += 1

    def unsubscribed(self, subscription: Subscription) -> None:
        """Count what a subscription has read by its end."""
        messages, size = read_so_far(subscription)
        self.messages += messages
        self.bytes += size

    def closed(self, kind: str, code: str, subscription: Subscription | None, now: float) -> None:
        """Count a client's connection that has ended.

        Args:
            kind: of its transport.
            code: how it was closed, one of a few fixed texts.
            subscription: what it was following; None if it had all messages, or followed nothing.
            now: the time, in seconds of the hub's clock.
        """
        self.gone[kind, code] += 1
        if subscription is not None:
            self.cut(kind, subscription, now)

    def cut(self, kind: str, subscription: Subscription, now: float) -> None:
        """Note what a client was following when its connection ended; see ``closed``."""
        lasted = now - subscription.since
        self.cuts.append(Cut(subscription.channel.id, kind, lasted, now))


def read_so_far(subscription: Subscription) -> tuple[int, int]:
    """The messages and the bytes of the log that a subscription has read."""
    if subscription.start_position < 0:
        return 0, 0
    count = subscription.channel.count_at
    messages = count(subscription.position) - count(subscription.start_position)
    return messages, subscription.position - subscription.start_position
