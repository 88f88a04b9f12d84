"""The mirror: a hub gets what the engine has acknowledged."""

from recodex_monitor.channels.channel import End
from recodex_monitor.relay.layout import Batch, Ended
from recodex_monitor.relay.mirror import Gap, command_of, common
from tests.relay.support import Follower, PartTestCase, texts
from tests.support.channels import frames


class MirrorTests(PartTestCase):
    """What is added."""

    def apply(self, first: int, *numbers: int, epoch: str = "7", is_new: bool = True) -> None:
        """Add messages of the job."""
        self.mirror.apply([Batch("job", epoch, first, texts(*numbers))], is_new=is_new)

    def test_once(self) -> None:
        """What the hub has is not added again, and what would leave a gap is not added."""
        self.apply(1, 1, 2)
        one = Follower(self.hub)
        self.apply(1, 1, 2, 3)
        self.assertRaises(Gap, self.apply, 5, 5)
        self.assertEqual((one.got, self.mirror.count("job")), (texts(1, 2, 3), 3))
        self.assertEqual(self.hub.channels["job"].epoch, "7")

    def test_before_a_gap(self) -> None:
        """What comes before a gap is added, and followers are woken."""
        one = Follower(self.hub)
        batches = [Batch("job", "7", 1, texts(1)), Batch("job", "7", 3, texts(3))]
        self.assertRaises(Gap, self.mirror.apply, batches)
        self.assertEqual(one.got, texts(1))

    def test_counted(self) -> None:
        """New messages count as those of the broker, and what is read does not."""
        self.apply(1, 1)
        self.apply(2, 2, is_new=False)
        self.assertEqual(self.hub.counters.commands["TASK"], 1)

    def test_time(self) -> None:
        """A channel that is read is as old as the engine says."""
        self.clock.advance(100)
        self.mirror.offset = 90.0
        batch = Batch("job", "7", 1, texts(1), End.FINISHED, time=2.0)
        self.mirror.apply([batch], is_new=False)
        channel = self.hub.channels["job"]
        self.assertEqual(self.hub.retention.ended.get(channel), 92.0)
        self.mirror.remember("gone", Ended(End.EXPIRED, End.FAILED, 1.0, 3, "7"))
        found = self.hub.retention.find("gone")
        assert found is not None
        self.assertEqual((found.forgotten, found.outcome), (91.0, End.FAILED))

    def test_replaced(self) -> None:
        """A bare follower goes on if it has read what the new channel begins with."""
        self.apply(1, 1, 2)
        bare, resuming = Follower(self.hub), Follower(self.hub, has_ids=True)
        self.mirror.replace("job", [Batch("job", "8", 1, texts(1, 2, 3))])
        self.assertEqual((bare.got, bare.is_restarted), (texts(1, 2, 3), False))
        self.assertTrue(resuming.is_restarted)
        self.mirror.replace("job", [Batch("job", "9", 1, texts(1, 5))])
        self.assertTrue(bare.is_restarted)
        self.assertEqual((self.logged, self.mirror.replaced), (texts(1, 5), 2))

    def test_renewed(self) -> None:
        """With a new epoch, those begin again who know ids."""
        self.apply(1, 1)
        bare, resuming = Follower(self.hub), Follower(self.hub, has_ids=True)
        self.mirror.renew(self.hub.channels["job"])
        self.assertEqual((bare.is_restarted, resuming.is_restarted), (False, True))
        self.assertNotEqual(self.hub.channels["job"].epoch, "7")
        self.assertTrue(self.mirror.is_other(Batch("job", "7", 1, [])))

    def test_parts(self) -> None:
        """Commands are found in texts, and whole messages that two logs have in common."""
        self.assertEqual(command_of(texts(1)[0]), "TASK")
        self.assertEqual(command_of(b"[]"), "")
        one, other = bytearray(frames("a", "b")), bytearray(frames("a", "c", "d"))
        self.assertEqual((common(one, other), common(other, one)), (3, 3))
        self.assertEqual(common(one, one + other), len(one))
