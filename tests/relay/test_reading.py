"""Reading: the hub gets what the engine has, a page at a time."""

from twisted.internet.defer import ensureDeferred

from recodex_monitor.channels.channel import End
from recodex_monitor.relay.layout import PAGE
from recodex_monitor.relay.loading import Loading
from recodex_monitor.relay.reading import Reading
from tests.relay.support import PartTestCase, texts


class ReadingTests(PartTestCase):
    """One channel."""

    def read(self) -> bool:
        """Read the job; returns whether the engine has it."""
        reading = Reading(self.engine, self.keys, self.mirror)
        found: bool = self.successResultOf(ensureDeferred(reading.read("job")))
        return found

    def test_pages(self) -> None:
        """A long channel takes several commands, and no more than what is new is read again."""
        numbers = [*range(1, 2 * PAGE + 2)]
        self.pushed(*numbers)
        self.assertTrue(self.read())
        self.assertEqual(self.hub.channels["job"].count, len(numbers))
        self.engine.called.clear()
        self.pushed(*numbers, 1000, ends=True)
        self.assertTrue(self.read())
        self.assertEqual(self.logged[-2:], texts(1000, ends=True))
        self.assertEqual(
            (self.engine.called, self.hub.channels["job"].end), (["XRANGE"], End.FINISHED)
        )

    def test_unknown(self) -> None:
        """Of a channel that is kept no longer, it is known how it ended."""
        self.assertFalse(self.read())
        self.server.data[b"rx:end:job"] = b"finished failed 1000 12 7"
        self.assertFalse(self.read())
        found = self.hub.retention.find("job")
        assert found is not None
        self.assertEqual((found.end, found.outcome, found.count), (End.FINISHED, End.FAILED, 12))

    def test_ended_meanwhile(self) -> None:
        """A channel that begins and ends between two commands is read as one that is kept."""
        self.engine.is_slow = True
        reading = ensureDeferred(Reading(self.engine, self.keys, self.mirror).read("job"))
        self.engine.answer()
        self.pushed(1, 2, ends=True)
        self.server.data[b"rx:end:job"] = b"finished finished 1000 3 7"
        for _ in range(3):
            self.engine.answer()
        self.assertTrue(self.successResultOf(reading))
        self.assertEqual(self.logged, texts(1, 2, ends=True))

    def test_lost(self) -> None:
        """What the engine has lost stays in the hub: its owner will push it again."""
        self.pushed(1, 2, 3)
        self.read()
        self.pushed(1)
        self.read()
        self.server.data.clear()
        self.assertFalse(self.read())
        self.assertEqual(self.logged, texts(1, 2, 3))

    def test_another(self) -> None:
        """Another channel of the same id replaces the one before, whether it is shorter or not."""
        for numbers in ((1, 2), (5,), (6, 7, 8)):
            self.pushed(*numbers, epoch=str(numbers[0]))
            self.assertTrue(self.read())
            self.assertEqual(self.logged, texts(*numbers))


class LoadingTests(PartTestCase):
    """All channels."""

    def test_all(self) -> None:
        """A new owner has everything, and ends first what has been silent longest."""
        for number in range(50):
            name = f"job{number}"
            self.server.data[self.keys.stream(name)] = [
                (1, "7", {b"m": texts(1)[0], b"t": b"%d" % (1000 * (50 - number))})
            ]
        self.mirror.offset = 0.0
        self.clock.advance(100)
        loading = Loading(self.engine, self.keys, self.mirror)
        found = self.successResultOf(ensureDeferred(loading.load()))
        self.assertEqual(len(found), 50)
        self.assertEqual(set(self.hub.channels), found)
        self.assertEqual(next(iter(self.hub.retention.running)).id, "job49")
