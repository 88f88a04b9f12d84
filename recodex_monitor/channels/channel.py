"""A channel is the log of one job; a subscription is a position in it.

The log is the bytes of finished WebSocket text frames, one after another, so what a client is to
be sent next is a slice of it. Nothing here knows sockets, or reads a clock.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from operator import itemgetter
from secrets import token_urlsafe
from typing import Protocol

from recodex_monitor.channels.frames import spans, text_frame

CHUNK_SIZE = 16 * 1024
"""Bytes after which a chunk ends, at the end of the message in which they are reached.

A client that stalls costs one chunk and the kernel's send buffer: 16 KB keeps that at 54 KB a
client, and larger chunks bring no more throughput.
"""

SHARED_SIZE = 1024
"""Bytes up to which a channel keeps the chunk that was read last, for the next subscription.

The followers of a running job are all at the same position; this saves 0.4 µs of each delivery.
"""

_NOTHING = (-1, b"")
_MAX_TIME = 2**32 - 1  # the largest value that Channel.times can hold: 497 days
_POSITION, _COUNT = itemgetter(0), itemgetter(1)


class End(StrEnum):
    """How a channel ended, and how its job went."""

    FINISHED = "finished"
    FAILED = "failed"
    EXPIRED = "expired"


class Channel:
    """The messages of one job, how it ended, and who follows it.

    Attributes:
        id: the job's id.
        epoch: a random token. Another channel of the same id has another epoch, so epoch and
            number of a message, counted from 1, identify the message for ever.
        log: the frames, one after another.
        count: messages in the log.
        is_full: a limit is reached, and only the job's outcome and the channel's end will be added.
        end: how the channel ended; None while it has not.
        outcome: how the job went: FAILED if its last attempt said so, else as the channel ended.
        last_chunk: the chunk that was read last, after the position where it begins.
        subscriptions: the positions of those who follow it.
        number: the channel's number in the history file; 0 before it is saved there, -1 after it
            was removed from there.
        saved: bytes of the log that are in the history file.
        began: when the channel was created, or restored after a restart, in hundredths of a second
            of the hub's clock.
        skipped: messages before those in the log, which are included in ``count``.
        joined: clients that have followed it since it began, or was restored after a restart.
        is_trial: whether it is a job of ``recodex-monitor doctor``; see ``trials``.
        forgotten: when it was removed, in seconds of the hub's clock; None for a channel that is
            kept. See ``tombstones``.
        times: when each message came, in hundredths of a second since ``began``. There are none
            for the messages before a restart, so these are the times of the last messages.
    """

    __slots__ = (
        "_marks",
        "began",
        "count",
        "end",
        "epoch",
        "forgotten",
        "id",
        "is_full",
        "is_trial",
        "joined",
        "last_chunk",
        "log",
        "number",
        "outcome",
        "saved",
        "skipped",
        "subscriptions",
        "times",
    )

    def __init__(self, channel_id: str, epoch: str | None = None) -> None:
        """Make a channel without messages; the epoch is a new one, unless one is given."""
        self.id = channel_id
        self.epoch = epoch or token_urlsafe(9)
        self.log = bytearray()
        self.count = 0
        self.is_full = self.is_trial = False
        self.end: End | None = None
        self.outcome: End | None = None
        self.subscriptions: set[Subscription] = set()
        self.number = self.saved = self.skipped = self.joined = 0
        self.forgotten: float | None = None
        self.began = 0
        self.times = array("I")
        # Ends of messages, about CHUNK_SIZE apart, each with the number of its message. Chunks end
        # there, so that each is whole frames and a ping or close frame may follow it.
        self._marks: list[tuple[int, int]] = []
        self.last_chunk = _NOTHING

    def take_new_epoch(self) -> None:
        """Take a new epoch, as if the messages were new: ids given so far are no longer valid."""
        self.epoch = token_urlsafe(9)
        self.number = self.saved = 0

    def skip(self, count: int) -> None:
        """Let the log, which must be empty, begin after so many messages."""
        self.count = self.skipped = count
        self._marks = [(0, count)]

    def append(self, text: bytes, now: int = 0) -> int:
        """Add a message; returns the bytes by which the log has grown.

        Args:
            text: of the message.
            now: the time in hundredths of a second.
        """
        frame = text_frame(text)
        self.extend(frame, 1)
        self.times.append(now - self.began & _MAX_TIME)
        return len(frame)

    def extend(self, frames: bytes, count: int) -> None:
        """Add ``count`` messages, given as their frames."""
        # Whoever has read everything so far will read exactly these frames next.
        whole = self.subscriptions and len(frames) <= SHARED_SIZE
        self.last_chunk = (len(self.log), frames) if whole else _NOTHING
        self.log += frames
        self.count += count
        if len(self.log) - (self._marks[-1][0] if self._marks else 0) >= CHUNK_SIZE:
            self._marks.append((len(self.log), self.count))

    def chunk(self, position: int) -> bytes:
        """The log from the end of a message on: whole frames, all or about CHUNK_SIZE bytes."""
        stop = len(self.log)
        if stop - position > CHUNK_SIZE:
            mark = bisect_right(self._marks, position, key=_POSITION)
            stop = self._marks[mark][0] if mark < len(self._marks) else stop
        chunk = bytes(memoryview(self.log)[position:stop])
        if len(chunk) <= SHARED_SIZE and len(self.subscriptions) > 1:
            self.last_chunk = position, chunk
        return chunk

    def pieces(self, position: int) -> Iterator[tuple[bytes, int]]:
        """The log from the end of a message on, in chunks, each with the messages up to its end."""
        while position < len(self.log):
            mark = bisect_right(self._marks, position, key=_POSITION)
            end = self._marks[mark] if mark < len(self._marks) else (len(self.log), self.count)
            yield bytes(memoryview(self.log)[position : end[0]]), end[1]
            position = end[0]

    def position(self, count: int) -> int:
        """The position after the first ``count`` messages, of which not fewer are in the log."""
        mark = bisect_right(self._marks, count, key=_COUNT)
        start, before = self._marks[mark - 1] if mark else (0, 0)
        for span in islice(spans(self.log, start), count - before):
            start = span.stop
        return start

    def count_at(self, position: int) -> int:
        """The count of messages up to a position, which must be the end of one."""
        if position == len(self.log):
            return self.count
        mark = bisect_right(self._marks, position, key=_POSITION)
        start, before = self._marks[mark - 1] if mark else (0, 0)
        return before + sum(1 for _ in spans(self.log, start, position))


class Client(Protocol):
    """What statistics and the status page show of a subscription's client.

    Attributes:
        kind: of its transport, one of a few fixed names.
        address: its IP address; None where it is not known.
    """

    @property
    def kind(self) -> str:
        """See the class."""

    @property
    def address(self) -> str | None:
        """See the class."""


class Subscription:
    """A position in a channel's log, from which somebody reads on.

    A subclass decides what is done with what is read. The log stays readable here after the hub
    has removed the channel.

    Attributes:
        channel: what is read; set by ``Hub.subscribe``.
        position: bytes of the log that were read.
        is_paused: it must not be woken, because it can take no more for now, or has ended.
        start_position: the position at which it began; -1 before it was first woken.
        since: when it began, in seconds of the hub's clock.
        client: who follows; None for a subscription that statistics leave out.
    """

    __slots__ = ("channel", "client", "is_paused", "position", "since", "start_position")
    channel: Channel

    def __init__(self) -> None:
        self.position = 0
        self.start_position = -1
        self.since = 0.0
        self.client: Client | None = None
        self.is_paused = False

    def wake(self) -> bool:
        """Read once and pass on what was read; unsubscribe after the end of the channel.

        The hub calls it when there may be something to read, but not while it ``is_paused``.
        Whoever resumes it then calls ``Hub.wake``. Returns whether there is more to read now.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """End the subscription, because ``wake`` has failed; it will not be called again."""
        raise NotImplementedError

    def restart(self) -> None:
        """Tell whoever follows to begin again: what was read is not in the channel any more.

        The subscription has ended already.
        """
        self.abandon()

    @property
    def has_ids(self) -> bool:
        """Whether the follower knows the messages by their ids."""
        return False

    def read(self) -> bytes:
        """Take the next chunk of the log; it is empty when all has been read."""
        position = self.position
        start, chunk = self.channel.last_chunk
        if start != position:
            chunk = self.channel.chunk(position)
        self.position = position + len(chunk)
        return chunk

    @property
    def behind(self) -> int:
        """Bytes of the log that have not been read yet."""
        return len(self.channel.log) - self.position
