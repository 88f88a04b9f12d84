"""The follower: what is followed here is what the engine has."""

from recodex_monitor.channels.channel import End
from recodex_monitor.relay.follower import LINGER, MOST_NEWS, Follower, State
from tests.relay.support import Follower as Client
from tests.relay.support import PartTestCase, texts


def news(*numbers: int, first: int = 1, epoch: str = "7") -> bytes:
    """What is published of messages."""
    return b"\n".join([f"{epoch} {first} - 0".encode(), *texts(*numbers)])


class FollowerTests(PartTestCase):
    """A node's follower."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.follower = Follower(self.engine, self.keys, self.mirror, self.clock)
        self.hub.retention.on_removed = lambda one: self.follower.forget(one.id)
        self.begun: list[str] = []

    def wait(self) -> None:
        """Wait for the job, as a client does."""
        self.follower.when_loaded(
            "job", lambda: self.begun.append("begun"), lambda: self.begun.append("refused")
        )

    def load(self) -> None:
        """Follow the job, and have it loaded."""
        self.wait()
        self.follower.subscribed("job")

    @property
    def state(self) -> State:
        """How far the job is."""
        return self.follower.followed["job"].state

    def test_subscribes_first(self) -> None:
        """The stream is read once it is certain that nothing is missed after that."""
        self.pushed(1, 2)
        self.wait()
        self.assertEqual((self.engine.names, self.engine.called), ([b"rx:c:job"], []))
        self.follower.told("job", news(9, first=9))
        self.follower.subscribed("job")
        self.assertEqual(
            (self.begun, self.logged, self.state), (["begun"], texts(1, 2), State.LIVE)
        )
        self.wait()
        self.assertEqual(self.begun, ["begun", "begun"])

    def test_news_while_reading(self) -> None:
        """What is published meanwhile is added after what was read, and nothing twice."""
        self.pushed(1, 2)
        self.engine.is_slow = True
        self.load()
        self.follower.told("job", news(2, 3, first=2))
        self.assertEqual((self.state, self.follower.unread), (State.READING, 1))
        self.engine.answer()
        self.assertEqual((self.logged, self.follower.unread), (texts(1, 2, 3), 0))
        self.follower.told("job", news(2, 3, first=2))
        self.follower.told("job", news(4, first=4))
        self.assertEqual(self.logged, texts(1, 2, 3, 4))

    def test_gap(self) -> None:
        """A number that is missing makes it read again."""
        self.pushed(1)
        self.load()
        self.pushed(1, 2, 3)
        self.follower.told("job", news(3, first=3))
        self.assertEqual((self.logged, self.follower.gaps), (texts(1, 2, 3), 1))

    def test_too_many_news(self) -> None:
        """Where the oldest news were not kept, the stream is read again."""
        self.engine.is_slow = True
        self.load()
        for number in range(1, MOST_NEWS + 2):
            self.follower.told("job", news(number, first=number))
        self.engine.answer()
        self.pushed(*range(1, MOST_NEWS + 2))
        while self.state is not State.LIVE:
            self.engine.answer()
        self.assertEqual(self.hub.channels["job"].count, MOST_NEWS + 1)

    def test_other_epoch(self) -> None:
        """A channel of another epoch takes the place of the one before."""
        self.pushed(1, 2)
        self.load()
        self.pushed(1, 5, epoch="8")
        self.follower.told("job", news(5, first=2, epoch="8"))
        self.assertEqual((self.logged, self.mirror.replaced), (texts(1, 5), 1))

    def test_new_session(self) -> None:
        """All is subscribed to and read again, from where the hub is."""
        self.pushed(1)
        self.load()
        self.engine.names.clear()
        self.pushed(1, 2, ends=True)
        self.follower.began()
        self.assertEqual((self.engine.names, self.state), ([b"rx:c:job"], State.SUBSCRIBING))
        self.follower.subscribed("job")
        self.assertEqual(self.logged, texts(1, 2, ends=True))
        self.assertEqual(self.hub.channels["job"].end, End.FINISHED)

    def test_lingers(self) -> None:
        """A channel that nobody follows is kept for a while, and then dropped."""
        self.pushed(1)
        self.load()
        client = Client(self.hub)
        self.hub.unsubscribe(client)
        self.follower.unfollowed("job")
        self.clock.advance(LINGER - 1)
        self.follower.tick()
        self.assertIn("job", self.hub.channels)
        self.clock.advance(2)
        self.follower.tick()
        self.assertEqual((self.hub.channels, self.follower.followed), ({}, {}))
        self.assertEqual(self.engine.names, [])

    def test_followed_stays(self) -> None:
        """A channel that somebody follows stays, however long ago others left."""
        self.pushed(1)
        self.load()
        Client(self.hub)
        self.clock.advance(LINGER + 1)
        self.follower.tick()
        self.assertIn("job", self.hub.channels)

    def test_waiting_stays(self) -> None:
        """A channel that somebody waits for is not forgotten when another client leaves."""
        client = Client(self.hub)
        self.wait()
        self.hub.unsubscribe(client)
        self.assertEqual(self.hub.channels, {})
        self.follower.subscribed("job")
        self.assertEqual(self.begun, ["begun"])

    def test_refused(self) -> None:
        """Those who wait are refused when the engine is away for too long."""
        self.wait()
        self.follower.refuse_waiting()
        self.assertEqual(self.begun, ["refused"])

    def test_owner(self) -> None:
        """A node that owns follows nothing, and those who wait begin: its hub has everything."""
        self.wait()
        self.follower.forget_all()
        self.assertEqual((self.begun, self.engine.names), (["begun"], []))
