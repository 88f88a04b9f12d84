"""The queue of channels that are to be read from the engine."""

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from recodex_monitor.relay.connection import EngineAway
from recodex_monitor.relay.reading import Reading
from recodex_monitor.timing.clock import Clock

_log = Logger()

IN_FLIGHT = 20
"""Channels that are read at the same time; with 100 the engine's answers piled up."""

RETRY = 1.0
"""Seconds after which a channel that could not be read is tried again."""


class ReadQueue:
    """Reads channels, some at the same time, and none twice at the same time."""

    def __init__(self, reading: Reading, clock: Clock, done: Callable[[str], object]) -> None:
        """Read nothing yet.

        Args:
            reading: reads one.
            clock: calls later.
            done: called with each channel that was read, unless it is to be read again.
        """
        self._reading = reading
        self._clock = clock
        self._done = done
        self._queue: deque[str] = deque()
        self._in_flight: set[str] = set()
        self._again: set[str] = set()
        self._session = 0

    def begin(self) -> None:
        """Begin a new session: what was read in an earlier one does not matter any more."""
        self._session += 1
        self._queue.clear()
        self._in_flight.clear()
        self._again.clear()

    def add(self, channel_id: str) -> None:
        """Read a channel; if it is being read, it is read again after that."""
        self._queue.append(channel_id)
        self._read_some()

    def _read_some(self) -> None:
        while self._queue and len(self._in_flight) < IN_FLIGHT:
            channel_id = self._queue.popleft()
            if channel_id in self._in_flight:
                self._again.add(channel_id)
                continue
            self._in_flight.add(channel_id)
            where = (channel_id, self._session)
            reading = ensureDeferred(self._reading.read(channel_id))
            reading.addCallbacks(self._read, self._failed, where, {}, where)

    def _read(self, exists: bool, channel_id: str, session: int) -> None:
        if session != self._session:
            return
        self._in_flight.discard(channel_id)
        if channel_id in self._again:
            self._again.discard(channel_id)
            self._queue.append(channel_id)
        else:
            self._done(channel_id)
        self._read_some()

    def _failed(self, failure: Failure, channel_id: str, session: int) -> None:
        if session != self._session:
            return
        self._in_flight.discard(channel_id)
        self._again.discard(channel_id)
        if not failure.check(EngineAway):
            _log.failure("reading {id!r} failed", failure, id=channel_id)
            self._clock.callLater(RETRY, lambda: self._retry(channel_id, session))
        self._read_some()

    def _retry(self, channel_id: str, session: int) -> None:
        if session == self._session:
            self.add(channel_id)
