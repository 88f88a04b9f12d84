"""A channel is the log of one job; a subscription is a position in it.

The log is the bytes of finished WebSocket text frames, one after another, so that what a
browser is due is a slice of it. Nothing here knows sockets or time.
"""

from bisect import bisect_right
from enum import StrEnum

from recodex_monitor.frames import text_frame

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


class End(StrEnum):
    """How a channel ended."""

    FINISHED = "finished"
    FAILED = "failed"
    EXPIRED = "expired"


class Channel:
    """The messages of one job, how it ended, and who reads them.

    Attributes:
        id: the job's id.
        log: the frames, one after another.
        count: messages in the log.
        is_full: it takes only its end any more.
        end: how the channel ended; None while it has not.
        last: the slice that was read last, and where it begins; most readers stand there.
        subscriptions: who reads it.
    """

    __slots__ = ("_marks", "count", "end", "id", "is_full", "last", "log", "subscriptions")

    def __init__(self, channel_id: str) -> None:
        self.id = channel_id
        self.log = bytearray()
        self.count = 0
        self.is_full = False
        self.end: End | None = None
        self.subscriptions: set[Subscription] = set()
        # Ends of messages, about CHUNK_SIZE apart: where slices end, so that every slice is
        # whole frames and a ping or close frame may come between any two.
        self._marks: list[int] = []
        self.last = _NOTHING

    def append(self, text: bytes) -> int:
        """Add a message, given as its text; returns the bytes by which the log has grown."""
        frame = text_frame(text)
        self.log += frame
        self.count += 1
        self.last = _NOTHING
        if len(self.log) - (self._marks[-1] if self._marks else 0) >= CHUNK_SIZE:
            self._marks.append(len(self.log))
        return len(frame)

    def chunk(self, position: int) -> bytes:
        """The log from a message's end on: whole frames, about CHUNK_SIZE bytes or all there is."""
        stop = len(self.log)
        if stop - position > CHUNK_SIZE:
            mark = bisect_right(self._marks, position)
            stop = self._marks[mark] if mark < len(self._marks) else stop
        chunk = bytes(memoryview(self.log)[position:stop])
        if len(chunk) <= SHARED_SIZE and len(self.subscriptions) > 1:
            self.last = position, chunk
        return chunk


class Subscription:
    """A position in a channel's log, and who reads on from there: one connection, or the like.

    A subclass says what happens to what is read. The log stays readable here after the hub has
    forgotten the channel.

    Attributes:
        channel: what is read; set by ``Hub.subscribe``.
        position: bytes of the log that were read.
        waits: not to be woken, since the reader takes no more for now or follows no longer.
    """

    __slots__ = ("channel", "position", "waits")
    channel: Channel

    def __init__(self) -> None:
        self.position = 0
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
