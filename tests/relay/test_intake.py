"""The intake: numbers, limits and late messages."""

from recodex_monitor.channels.channel import End
from recodex_monitor.relay import intake as module
from recodex_monitor.relay.intake import Intake
from recodex_monitor.relay.layout import Batch
from tests.relay.support import PartTestCase, said, texts
from tests.support.settings import change


class IntakeTestCase(PartTestCase):
    """An intake."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.intake = Intake(self.hub, self.live)

    def add(self, *numbers: int, channel: str = "job", ends: bool = False) -> list[bool]:
        """Add the broker's messages."""
        return [*map(self.intake.add, said(*numbers, channel=channel, ends=ends))]

    @property
    def waiting(self) -> list[bytes]:
        """What waits of the job."""
        one = self.intake.pending.get("job")
        return one.texts if one is not None else []


class AddTests(IntakeTestCase):
    """The broker's messages."""

    def test_after_hub(self) -> None:
        """Numbers follow those of the hub, and the epoch is the hub's."""
        self.mirror.apply([Batch("job", "7", 1, texts(1, 2))])
        self.assertEqual(self.add(3, 4), [True, True])
        one = self.intake.pending["job"]
        self.assertEqual((one.first, one.epoch, one.texts), (3, "7", texts(3, 4)))
        self.assertEqual((self.intake.count, self.intake.size), (2, sum(map(len, texts(3, 4)))))

    def test_behind_the_end(self) -> None:
        """What is behind the end is dropped and counted, whether that was pushed or waits."""
        self.assertEqual(self.add(1, ends=True), [True, True])
        self.assertEqual(self.add(2), [False])
        self.assertEqual(self.hub.dropped.counts, {"channel ended": 1})

    def test_limits(self) -> None:
        """The limits count what waits; the end has always room."""
        change(self.live, max_channel_messages=2)
        self.assertEqual(self.add(1, 2, 3, ends=True), [True, True, False, True])
        self.assertEqual(self.hub.counters.limits["max_channel_messages"], 1)
        change(self.live, max_channels=1)
        self.assertEqual(self.add(1, channel="other"), [False])
        self.assertEqual(self.hub.dropped.counts["no room"], 1)

    def test_forgotten(self) -> None:
        """A channel that the hub has removed is forgotten, unless messages of it wait."""
        self.add(1)
        channel = self.hub.channels["job"]
        self.intake.forget(channel)
        self.assertEqual(self.waiting, texts(1))
        self.intake.pending["job"].texts.clear()
        self.intake.forget(channel)
        self.assertEqual(self.intake.pending, {})


class NextTests(IntakeTestCase):
    """What goes with a call."""

    def test_bounds(self) -> None:
        """A call has not more messages, bytes and channels than the bounds say."""
        for bound, value, pushed in (
            ("MOST_TEXTS", 3, [2, 1]),
            ("MOST_BYTES", 10, [2]),
            ("MOST_STREAMS", 1, [2]),
        ):
            with self.subTest(bound=bound):
                self.intake = Intake(self.hub, self.live)
                self.patch(module, bound, value)
                self.add(1, 2)
                self.add(1, 2, channel="other")
                self.assertEqual([len(one.texts) for one in self.intake.next()], pushed)
                self.patch(module, bound, 10**6)

    def test_held(self) -> None:
        """While late messages come first, nothing that waits goes."""
        self.add(1)
        self.intake.is_held = True
        self.assertEqual(self.intake.next(), [])
        self.intake.pending["job"].is_known = False
        self.assertEqual([one.texts for one in self.intake.next()], [[]])


class LateTests(IntakeTestCase):
    """Late messages."""

    def test_before_others(self) -> None:
        """They come before what waits, one after the other, whatever the limits say."""
        change(self.live, max_channel_messages=1)
        self.add(9)
        self.intake.insert("job", texts(1, 2), None)
        self.intake.insert("job", texts(3), None)
        self.assertEqual(self.waiting, texts(1, 2, 3, 9))
        self.assertEqual([one.texts for one in self.intake.next_late()], [texts(1, 2, 3)])
        self.assertEqual(self.intake.size, sum(map(len, self.waiting)))

    def test_with_the_end(self) -> None:
        """What waits behind a late end is dropped and counted; what is late behind an end, too."""
        self.add(9)
        self.intake.insert("job", texts(1, ends=True), End.FINISHED)
        self.assertEqual(self.waiting, texts(1, ends=True))
        self.assertEqual(self.hub.dropped.counts, {"channel ended": 1})
        self.mirror.apply([Batch("over", "7", 1, texts(1, ends=True), End.FINISHED)])
        self.intake.insert("over", texts(2, 3), None)
        self.assertEqual(self.hub.dropped.counts, {"channel ended": 3})
