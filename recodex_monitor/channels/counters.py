"""What has happened since the start, counted where it happens and read where people look.

Nothing here costs a delivery anything: what readers got is worked out from where they stand.
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
"""What all that has no name of its own is counted as."""

_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013})


class Forgotten(NamedTuple):
    """A channel that is kept no longer: its id, how it ended, if it had, and when it was let go."""

    id: str
    end: str | None
    at: float


class Cut(NamedTuple):
    """A reader that was cut off with more to come: of what, by what, after how long, and when."""

    id: str
    kind: str
    lasted: float
    at: float


class Counts:
    """The numbers of a hub and of its readers.

    Attributes:
        commands: messages of the broker, by command.
        last: seconds at which the last of them came; None before the first.
        ends: channels that ended, by how.
        limits: how often something was dropped or let go, by the limit that asked for it.
        joined: readers that began, by transport.
        gone: connections that ended, by transport and close code.
        messages: that readers got who have gone.
        bytes: of the log, likewise.
        forgotten: the channels that were let go last.
        cuts: the readers that were cut off last.
    """

    def __init__(self) -> None:
        self.commands: dict[str, int] = dict.fromkeys((*COMMANDS, OTHER), 0)
        self.last: float | None = None
        self.ends: Counter[str] = Counter(dict.fromkeys(map(str, End), 0))
        self.limits: Counter[str] = Counter()
        self.joined: Counter[str] = Counter()
        self.gone: Counter[tuple[str, str]] = Counter()
        self.messages = self.bytes = 0
        self.forgotten: deque[Forgotten] = deque(maxlen=5000)
        self.cuts: deque[Cut] = deque(maxlen=1000)

    def joins(self, subscription: Subscription) -> None:
        """A reader begins."""
        if subscription.reader is not None:
            self.joined[subscription.reader.kind] += 1

    def leaves(self, subscription: Subscription) -> None:
        """A reader has gone, or has got all that it is due."""
        messages, size = taken(subscription)
        self.messages += messages
        self.bytes += size

    def closed(self, kind: str, code: str, subscription: Subscription | None, now: float) -> None:
        """A connection has ended.

        Args:
            kind: of its transport.
            code: how, see ``close_code``.
            subscription: with which it still read; None where nothing more was to come.
            now: the time.
        """
        self.gone[kind, code] += 1
        if subscription is not None:
            lasted = now - subscription.since
            self.cuts.append(Cut(subscription.channel.id, kind, lasted, now))


def taken(subscription: Subscription) -> tuple[int, int]:
    """The messages and bytes of its channel that a reader has taken so far."""
    if subscription.origin < 0:
        return 0, 0
    count = subscription.channel.count_at
    messages = count(subscription.position) - count(subscription.origin)
    return messages, subscription.position - subscription.origin


def close_code(code: int | None) -> str:
    """A WebSocket's close code as one of few texts; 1005 is none, 1006 a lost connection."""
    code = 1005 if code is None else code
    return str(code) if code in _CLOSE_CODES else OTHER
