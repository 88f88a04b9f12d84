"""What of one channel waits for the engine."""

from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Channel, End
from recodex_monitor.relay.pending import OTHER_EPOCH, Pending


def pending(count: int, *numbers: int) -> Pending:
    """Messages that wait after ``count`` that the hub has."""
    one = Pending("job", "7", count)
    one.texts = [b"%d" % number for number in numbers]
    one.size = sum(map(len, one.texts))
    return one


def channel(*numbers: int) -> Channel:
    """The hub's channel."""
    made = Channel("job", "7")
    for number in numbers:
        made.append(b"%d" % number)
    return made


class PushTests(SynchronousTestCase):
    """What is pushed."""

    def test_some(self) -> None:
        """No more than fits; the end goes with the last message alone."""
        one = pending(0, 1, 2, 3)
        one.end = End.FINISHED
        push = one.push(None, 2)
        self.assertEqual((push.first, push.texts, push.end), (1, [b"1", b"2"], None))
        self.assertEqual(one.acknowledge(push, 2), ("job", "7", 1, [b"1", b"2"], None, 0.0))
        push = one.push(None, 2)
        self.assertEqual((push.first, push.texts, push.end), (3, [b"3"], End.FINISHED))
        batch = one.acknowledge(push, 3)
        assert batch is not None
        self.assertEqual((batch.first, batch.end, one.size), (3, End.FINISHED, 0))
        self.assertTrue(one.is_settled)

    def test_lost_by_engine(self) -> None:
        """What the engine has lost comes from the hub, and followers have it already."""
        one, hub = pending(3, 4), channel(1, 2, 3)
        self.assertIsNone(one.acknowledge(one.push(hub, 9), 1))
        push = one.push(hub, 9)
        self.assertEqual((push.first, push.texts), (2, [b"2", b"3", b"4"]))
        batch = one.acknowledge(push, 4)
        assert batch is not None
        self.assertEqual((batch.first, batch.texts), (4, [b"4"]))

    def test_arrived_before(self) -> None:
        """A reply that says more than was asked acknowledges what had arrived before."""
        one = pending(0, 1, 2, 3)
        batch = one.acknowledge(one.push(None, 1), 3)
        assert batch is not None
        self.assertEqual(batch.texts, [b"1", b"2", b"3"])

    def test_other_epoch(self) -> None:
        """A stream of another epoch is replaced from the first message on."""
        one, hub = pending(2, 3), channel(1, 2)
        self.assertIsNone(one.acknowledge(one.push(hub, 9), OTHER_EPOCH))
        push = one.push(hub, 9)
        self.assertEqual((push.first, push.texts), (1, [b"1", b"2", b"3"]))
        self.assertEqual(push.values()[4], 1)

    def test_outcome(self) -> None:
        """How the job went is told with the end, as its last attempt says."""
        failed = b'{"command": "FAILED"}'
        one = pending(0)
        one.texts, one.end = [failed, b'{"command": "FINISHED"}'], End.FINISHED
        push = one.push(None, 9)
        self.assertEqual((push.end, push.outcome), (End.FINISHED, End.FAILED))

    def test_held(self) -> None:
        """While late messages come first, only what the hub has is pushed."""
        one, hub = pending(2, 3), channel(1, 2)
        one.top = 1
        push = one.push(hub, 9, is_held=True)
        self.assertEqual((push.texts, push.has_own, push.is_all), ([b"2"], False, False))

    def test_late(self) -> None:
        """All late messages go at once, and what comes after them does not go with them."""
        one = pending(2, 3, 4, 5)
        one.late, one.end = {3, 4}, End.FINISHED
        self.assertEqual(one.push(channel(1, 2), 9).texts, [])
        push = one.push_late(channel(1, 2))
        self.assertEqual((push.texts, push.has_own, push.end), ([b"3", b"4"], False, None))
        one.acknowledge(push, 4)
        self.assertEqual((one.late, one.texts), (set(), [b"5"]))
