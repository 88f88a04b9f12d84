"""The queue of channels that are to be read."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.relay.connection import EngineAway, EngineError
from recodex_monitor.relay.queue import IN_FLIGHT, RETRY, ReadQueue


class QueueTests(SynchronousTestCase):
    """What is read when."""

    def setUp(self) -> None:
        """Make a queue, the test being what reads."""
        self.clock = Clock()
        self.reading: list[tuple[str, Deferred[bool]]] = []
        self.done: list[str] = []
        reader: Any = self
        self.queue = ReadQueue(reader, self.clock, self.done.append)

    async def read(self, channel_id: str) -> bool:
        """Read until the test says that it was."""
        read: Deferred[bool] = Deferred()
        self.reading.append((channel_id, read))
        return await read

    def test_some_at_once(self) -> None:
        """No more than so many are read at the same time."""
        for number in range(IN_FLIGHT + 5):
            self.queue.add(str(number))
        self.assertEqual(len(self.reading), IN_FLIGHT)
        self.reading[0][1].callback(True)
        self.assertEqual((len(self.reading), self.done), (IN_FLIGHT + 1, ["0"]))

    def test_again(self) -> None:
        """What is to be read while it is read is read again after that, once."""
        for _ in range(3):
            self.queue.add("job")
        self.assertEqual(len(self.reading), 1)
        self.reading[0][1].callback(True)
        self.assertEqual((len(self.reading), self.done), (2, []))
        self.reading[1][1].callback(True)
        self.assertEqual(self.done, ["job"])

    def test_new_session(self) -> None:
        """What was read in an earlier session does not count."""
        self.queue.add("job")
        self.queue.begin()
        self.queue.add("job")
        self.reading[0][1].callback(True)
        self.assertEqual(self.done, [])
        self.reading[1][1].callback(True)
        self.assertEqual(self.done, ["job"])

    def test_failed(self) -> None:
        """What cannot be read is tried again, unless the engine is away: a session will begin."""
        self.queue.add("job")
        self.reading[0][1].errback(EngineError("ERR no"))
        self.assertEqual(len(self.flushLoggedErrors(EngineError)), 1)
        self.clock.advance(RETRY)
        self.assertEqual(len(self.reading), 2)
        self.reading[1][1].errback(EngineAway("lost"))
        self.clock.advance(RETRY)
        self.assertEqual(len(self.reading), 2)
