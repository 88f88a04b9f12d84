"""A channel is the log of one job; a subscription is a position in it.

The log is the bytes of finished WebSocket text frames, one after another, so that what a
browser is due is a slice of it. Nothing here knows sockets or time.
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
"""Bytes after which a slice for a reader ends, at the next message's end.

A reader that stalls costs one slice and what the kernel was told to take: 16 KB keeps that at
54 KB a reader, and larger slices bring no more throughput.
"""

SHARED_SIZE = 1024
"""Bytes of a slice up to which a channel keeps the last one for the next reader.

Followers of a running job all stand at the same place; that saves 0.4 us of a delivery.
"""

_NOTHING = (-1, b"")
_POSITION, _COUNT = itemgetter(0), itemgetter(1)


class End(StrEnum):
    """How a channel ended."""

    FINISHED = "finished"
    FAILED = "failed"
    EXPIRED = "expired"


class Channel:
    """The messages of one job, how it ended, and who reads them.

    Attributes:
        id: the job's id.
        epoch: a random token; with a message's number, counted from 1, it names the message for
            ever, since another channel of the same id has another.
        log: the frames, one after another.
        count: messages in the log.
        is_full: it takes only its end any more.
        end: how the channel ended; None while it has not.
        last: the slice that was read last, and where it begins; most readers stand there.
        subscriptions: who reads it.
        number: what the journal calls it; 0 before, -1 after it was there.
        saved: bytes of the log that the journal has.
        began: hundredths of a second at which the channel began, or went on after a restart.
        times: of the last messages, when each came: hundredths of a second since it began. Those
            before them came before a restart.
    """

    __slots__ = (
        "_marks",
        "began",
        "count",
        "end",
        "epoch",
        "id",
        "is_full",
        "last",
        "log",
        "number",
        "saved",
        "subscriptions",
        "times",
    )

    def __init__(self, channel_id: str, epoch: str | None = None) -> None:
        """Make a channel without messages; without an epoch, with one of its own."""
        self.id = channel_id
        self.epoch = epoch or token_urlsafe(9)
        self.log = bytearray()
        self.count = 0
        self.is_full = False
        self.end: End | None = None
        self.subscriptions: set[Subscription] = set()
        self.number = self.saved = 0
        self.began = 0
        self.times = array("I")
        # Ends of messages, about CHUNK_SIZE apart, with the number of the message: where slices
        # end, so that every slice is whole frames and a ping or close frame may come between.
        self._marks: list[tuple[int, int]] = []
        self.last = _NOTHING

    def renew(self) -> None:
        """Become another channel with the same messages: ids given so far mean nothing any more."""
        self.epoch = token_urlsafe(9)
        self.number = self.saved = 0

    def append(self, text: bytes) -> int:
        """Add a message, given as its text; returns the bytes by which the log has grown."""
        frame = text_frame(text)
        self.extend(frame, 1)
        return len(frame)

    def extend(self, frames: bytes, count: int) -> None:
        """Add so many messages, given as their frames."""
        # Who has read all so far reads just these.
        whole = self.subscriptions and len(frames) <= SHARED_SIZE
        self.last = (len(self.log), frames) if whole else _NOTHING
        self.log += frames
        self.count += count
        if len(self.log) - (self._marks[-1][0] if self._marks else 0) >= CHUNK_SIZE:
            self._marks.append((len(self.log), self.count))

    def chunk(self, position: int) -> bytes:
        """The log from a message's end on: whole frames, about CHUNK_SIZE bytes or all there is."""
        stop = len(self.log)
        if stop - position > CHUNK_SIZE:
            mark = bisect_right(self._marks, position, key=_POSITION)
            stop = self._marks[mark][0] if mark < len(self._marks) else stop
        chunk = bytes(memoryview(self.log)[position:stop])
        if len(chunk) <= SHARED_SIZE and len(self.subscriptions) > 1:
            self.last = position, chunk
        return chunk

    def pieces(self, position: int) -> Iterator[tuple[bytes, int]]:
        """The log from a message's end on, in chunks, each with the messages up to its end."""
        while position < len(self.log):
            mark = bisect_right(self._marks, position, key=_POSITION)
            end = self._marks[mark] if mark < len(self._marks) else (len(self.log), self.count)
            yield bytes(memoryview(self.log)[position : end[0]]), end[1]
            position = end[0]

    def position(self, count: int) -> int:
        """Where so many messages end; there must be as many."""
        mark = bisect_right(self._marks, count, key=_COUNT)
        start, before = self._marks[mark - 1] if mark else (0, 0)
        for span in islice(spans(self.log, start), count - before):
            start = span.stop
        return start

    def count_at(self, position: int) -> int:
        """How many messages end at or before a position where one ends."""
        if position == len(self.log):
            return self.count
        mark = bisect_right(self._marks, position, key=_POSITION)
        start, before = self._marks[mark - 1] if mark else (0, 0)
        return before + sum(1 for _ in spans(self.log, start, position))


class Reader(Protocol):
    """Who reads a subscription, as far as people want to know.

    Attributes:
        kind: of the transport: one of few, known beforehand.
        address: of the client; None where it is not known.
    """

    @property
    def kind(self) -> str:
        """See the class."""

    @property
    def address(self) -> str | None:
        """See the class."""


class Subscription:
    """A position in a channel's log, and who reads on from there: one connection, or the like.

    A subclass says what happens to what is read. The log stays readable here after the hub has
    forgotten the channel.

    Attributes:
        channel: what is read; set by ``Hub.subscribe``.
        position: bytes of the log that were read.
        waits: not to be woken, since the reader takes no more for now or follows no longer.
        origin: the position at which it began; -1 before it was first woken.
        since: seconds at which it began.
        reader: who reads it; None for nobody whom people want to know of.
    """

    __slots__ = ("channel", "origin", "position", "reader", "since", "waits")
    channel: Channel

    def __init__(self) -> None:
        self.position = 0
        self.origin = -1
        self.since = 0.0
        self.reader: Reader | None = None
        self.waits = False

    def wake(self) -> bool:
        """Read once and pass it on; end when the channel has.

        Called when there may be something to read, unless it ``waits``; then whoever lets it
        go on has it woken by the hub. Returns whether another call would do more at once.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """End: waking failed, and nothing more will come."""
        raise NotImplementedError

    def read(self) -> bytes:
        """Take the next bytes of the log, whole frames; empty when all is read."""
        position = self.position
        start, chunk = self.channel.last
        if start != position:
            chunk = self.channel.chunk(position)
        self.position = position + len(chunk)
        return chunk

    @property
    def behind(self) -> int:
        """Bytes of the log that were not read yet."""
        return len(self.channel.log) - self.position
