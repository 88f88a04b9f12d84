"""Late messages: taken once, before others, and not waited for without end."""

from collections.abc import Iterable

from twisted.internet.defer import ensureDeferred

from recodex_monitor.relay.late import HOLD_TIMEOUT, READ, LateMessages
from recodex_monitor.relay.pending import Pending
from recodex_monitor.relay.publisher import Publisher
from recodex_monitor.relay.yielding import append, entries_of
from tests.relay.support import PartTestCase, said, texts


def handed(first: int, *numbers: int, channel: str = "job") -> Pending:
    """Messages that another owner had not pushed."""
    one = Pending(channel, "7", first - 1)
    one.texts = texts(*numbers)
    return one


class LateTests(PartTestCase):
    """An owner that takes them."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        publisher = Publisher(self.engine, self.keys, self.mirror, self.live, self.clock)
        self.publisher = publisher
        self.late = LateMessages(self.engine, self.keys, publisher, self.clock)
        publisher.on_late = self.take
        self.server.data[b"rx:fence"] = {"token": b"token"}
        publisher.begin("token", asks=False)
        self.successResultOf(ensureDeferred(self.late.begin("me")))

    def take(self) -> None:
        """Take what there is."""
        self.successResultOf(ensureDeferred(self.late.take(lambda: True)))

    def hand_over(self, rest: Iterable[Pending], token: str = "") -> None:
        """Another node hands over."""
        entries = [*entries_of(rest, token)]
        self.successResultOf(ensureDeferred(append(self.engine, self.keys, entries)))

    def test_pushed(self) -> None:
        """They are in their channels then, and not in the list."""
        self.hand_over([handed(1, 1, 2), handed(1, 5, channel="other")])
        self.take()
        self.assertEqual((self.logged, self.streamed), (texts(1, 2), texts(1, 2)))
        self.assertEqual((self.server.data[b"rx:late"], self.late.count), ([], 3))

    def test_many(self) -> None:
        """However many there are: some at a time."""
        numbers = range(1, 200 * READ * 2 + 50)
        self.hand_over([handed(1, *numbers)])
        self.assertGreater(len(self.server.data[b"rx:late"]), READ)
        self.take()
        self.assertEqual(self.hub.channels["job"].count, len(numbers))

    def test_had_arrived(self) -> None:
        """What their owner had pushed before it was fenced off is left out."""
        self.publisher.publish(said(1, 2))
        self.successResultOf(ensureDeferred(self.late.tops.record({"old"}, {"job": 2})))
        self.hand_over([handed(2, 2, 3)], token="old")
        self.take()
        self.assertEqual(self.logged, texts(1, 2, 3))

    def test_come_first(self) -> None:
        """What the broker says meanwhile comes after them, until the other node has done."""
        self.server.data[b"rx:yielding"] = {b"other": 1}
        self.publisher.publish(said(9))
        self.assertEqual((self.logged, self.late.holding), ([], {"other"}))
        self.hand_over([handed(1, 1)])
        self.take()
        self.publisher.publish(said(10))
        self.hand_over([handed(2, 2)])
        self.take()
        self.assertEqual(self.logged, texts(1, 2))
        self.server.data[b"rx:yielding"] = {}
        self.take()
        self.assertEqual(self.logged, texts(1, 2, 9, 10))

    def test_own_life_before(self) -> None:
        """A node that died while it handed over does not wait for itself."""
        self.server.data[b"rx:yielding"] = {b"me": 1}
        self.successResultOf(ensureDeferred(self.late.begin("me")))
        self.publisher.publish(said(1))
        self.assertEqual(self.logged, texts(1))

    def test_never_done(self) -> None:
        """A node that does not go on handing over is waited for only while the engine is there."""
        self.server.data[b"rx:yielding"] = {b"other": 1}
        self.publisher.publish(said(1))
        for is_up, logged in ((False, []), (True, texts(1))):
            for _ in range(int(HOLD_TIMEOUT) + 2):
                self.clock.advance(1)
                self.late.tick(is_up=is_up)
            self.take()
            self.assertEqual(self.logged, logged)

    def test_again_in_the_list(self) -> None:
        """An engine that has lost that they were pushed gets them from their owner, once."""
        self.hand_over([handed(1, 1)])
        before = self.server.copy()
        self.take()
        self.server.data, self.server.expires = before
        self.publisher.begin("token", asks=True)
        self.take()
        self.assertEqual((self.streamed, self.server.data[b"rx:late"]), (texts(1), []))

    def test_something_else(self) -> None:
        """What somebody else has put into the list does not keep others from being taken."""
        self.server.data[b"rx:late"] = [b"", b"x {}", b"x 1", b"hello world", b'x {"channel": 1}']
        self.hand_over([handed(1, 1)])
        self.take()
        self.publisher.publish(said(2))
        self.assertEqual((self.logged, self.server.data[b"rx:late"]), (texts(1, 2), []))

    def test_not_an_owner(self) -> None:
        """Who owns no more when the list was read takes nothing."""
        self.hand_over([handed(1, 1)])
        self.successResultOf(ensureDeferred(self.late.take(lambda: False)))
        self.assertEqual((self.logged, len(self.server.data[b"rx:late"])), ([], 1))
