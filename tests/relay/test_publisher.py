"""The publisher: pushes until the engine has everything, and shows nothing before."""

from recodex_monitor.channels.channel import End
from recodex_monitor.relay.connection import EngineError
from recodex_monitor.relay.publisher import Publisher
from tests.relay.support import Follower, PartTestCase, said, texts


class PublisherTests(PartTestCase):
    """An owner's publisher."""

    def setUp(self) -> None:
        """Make it, with the right to push."""
        super().setUp()
        self.publisher = Publisher(self.engine, self.keys, self.mirror, self.live, self.clock)
        self.told: list[str] = []
        for name in ("fenced", "lost", "late"):
            setattr(self.publisher, f"on_{name}", lambda name=name: self.told.append(name))
        self.fence(b"token")
        self.publisher.begin("token", asks=False)

    def fence(self, token: bytes) -> None:
        """Let this be the owner's token."""
        self.server.data[b"rx:fence"] = {"token": token}

    def test_acknowledged_first(self) -> None:
        """Followers get a message once the engine has it."""
        self.engine.is_slow = True
        self.publisher.publish(said(1, ends=True))
        one = Follower(self.hub)
        self.assertEqual(one.got, [])
        self.assertFalse(self.publisher.is_settled)
        self.engine.answer()
        self.assertEqual(one.got, texts(1, ends=True))
        self.assertEqual(self.hub.channels["job"].end, End.FINISHED)
        self.assertTrue(self.publisher.is_settled)
        self.assertIn(b"rx:c:job", self.server.data)

    def test_one_call(self) -> None:
        """One call is in flight; what comes meanwhile goes with the next."""
        self.engine.is_slow = True
        for number in (1, 2, 3):
            self.publisher.publish(said(number))
        self.assertEqual(len(self.engine.called), 1)
        self.engine.answer()
        self.assertEqual(len(self.engine.called), 2)
        self.engine.answer()
        self.assertEqual(self.logged, texts(1, 2, 3))
        self.assertEqual((self.publisher.pushes, self.publisher.pushed), (2, 3))

    def test_lost_reply(self) -> None:
        """What has arrived is not pushed twice, though the reply was lost."""
        self.engine.is_slow = True
        self.publisher.publish(said(1, 2))
        self.engine.answer(is_lost=True)
        self.assertEqual((self.streamed, self.logged), (texts(1, 2), []))
        self.engine.is_slow = False
        self.publisher.publish(said(3))
        self.assertEqual((self.streamed, self.logged), (texts(1, 2, 3), texts(1, 2, 3)))

    def test_lost_data(self) -> None:
        """In a new session all channels are verified, and what is missing is pushed again."""
        self.publisher.publish(said(1, 2, 3))
        self.server.data[b"rx:c:job"] = self.server.data[b"rx:c:job"][:1]
        self.publisher.begin("token", asks=True)
        self.assertEqual(self.streamed, texts(1, 2, 3))
        del self.server.data[b"rx:c:job"]
        self.publisher.begin("token", asks=True)
        self.assertEqual((self.streamed, self.logged), (texts(1, 2, 3), texts(1, 2, 3)))

    def test_other_stream(self) -> None:
        """A stream of another epoch is replaced by what the owner has."""
        self.publisher.publish(said(1, 2))
        self.pushed(8, 9, epoch="666")
        self.publisher.publish(said(3))
        self.assertEqual((self.streamed, self.publisher.conflicts), (texts(1, 2, 3), 1))

    def test_longer_stream(self) -> None:
        """Where the engine has more than its owner, the owner's channel gets a new epoch."""
        self.publisher.publish(said(1))
        channel = self.hub.channels["job"]
        epoch = channel.epoch
        self.pushed(1, 2, 3, epoch=epoch)
        self.publisher.begin("token", asks=True)
        self.assertEqual(self.streamed, texts(1))
        self.assertNotEqual(channel.epoch, epoch)

    def test_fenced_off(self) -> None:
        """Where another owns, nothing arrives, and what waits can be handed over."""
        self.fence(b"another")
        self.engine.is_slow = True
        self.publisher.publish(said(1))
        settled = self.publisher.settled()
        self.engine.answer()
        self.assertEqual((self.told, self.streamed), (["fenced"], []))
        self.failureResultOf(settled, EngineError)
        self.publisher.publish(said(2))
        rest = self.publisher.cease()
        self.assertEqual([one.texts for one in rest], [texts(1, 2)])

    def test_lost_fence(self) -> None:
        """An engine that has lost the fence is told apart."""
        self.server.data.clear()
        self.publisher.publish(said(1))
        self.assertEqual(self.told, ["lost"])

    def test_refused(self) -> None:
        """What the engine refuses is tried again after a while."""
        push = scripts = self.server.scripts
        self.server.scripts = dict.fromkeys(scripts, refuse)
        self.publisher.publish(said(1))
        self.server.scripts = push
        self.publisher.publish(said(2))
        self.assertEqual(self.streamed, [])
        for _ in range(5):
            self.clock.advance(1)
            self.publisher.tick()
        self.assertEqual(self.streamed, texts(1, 2))

    def test_ended_by_time(self) -> None:
        """A channel whose time is up is ended, unless messages of it are waiting."""
        self.publisher.publish(said(1))
        channel = self.hub.channels["job"]
        self.engine.is_slow = True
        self.publisher.publish(said(2))
        self.publisher.end(channel, End.EXPIRED)
        self.engine.answer()
        self.assertIsNone(channel.end)
        self.publisher.end(channel, End.EXPIRED)
        self.engine.answer()
        self.assertEqual((channel.end, len(self.streamed)), (End.EXPIRED, 3))

    def test_others_hand_over(self) -> None:
        """While another node hands over, nothing of its own is pushed."""
        self.publisher.publish(said(1))
        self.server.data[b"rx:yielding"] = {b"other": 1}
        self.publisher.publish(said(9))
        self.assertEqual((self.told, self.streamed), (["late"], texts(1)))
        self.assertTrue(self.publisher.is_ready)
        self.publisher.intake.insert("job", texts(2, 3), None)
        self.server.data[b"rx:late"] = [b"id1 {}", b"id2 {}"]
        self.publisher.late = [b"id1"]
        self.publisher.flush()
        self.assertEqual(
            (self.streamed, self.server.data[b"rx:late"]), (texts(1, 2, 3), [b"id2 {}"])
        )
        self.assertEqual(self.told, ["late", "late"])
        self.server.data.update({b"rx:yielding": {}, b"rx:late": []})
        self.publisher.intake.is_held = False
        self.publisher.flush()
        self.assertEqual(self.logged, texts(1, 2, 3, 9))

    def test_late_once(self) -> None:
        """Late messages leave the list by the call that adds them, even if its reply is lost."""
        self.publisher.intake.insert("job", texts(1), None)
        self.server.data[b"rx:late"] = [b"id1 {}", b"id2 {}"]
        self.publisher.late = [b"id1"]
        self.engine.is_slow = True
        self.publisher.flush()
        self.engine.answer(is_lost=True)
        self.publisher.begin("token", asks=True)
        self.engine.answer()
        self.engine.answer()
        self.assertEqual((self.logged, self.server.data[b"rx:late"]), (texts(1), [b"id2 {}"]))
        self.assertEqual(self.publisher.late, [])

    def test_late_after_loss(self) -> None:
        """Where the engine has lost what comes before, late messages wait, and stay in the list."""
        self.publisher.publish(said(1, 2))
        self.publisher.intake.insert("job", texts(3), None)
        self.server.data[b"rx:c:job"] = self.server.data[b"rx:c:job"][:1]
        self.server.data[b"rx:late"] = [b"id1 {}"]
        self.publisher.late = [b"id1"]
        self.publisher.flush()
        self.assertEqual((self.streamed, self.server.data[b"rx:late"]), (texts(1, 2, 3), []))


def refuse(*_: object) -> None:
    """Be out of memory."""
    raise EngineError("OOM command not allowed")
