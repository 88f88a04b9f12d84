"""Totals since the start."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.counters import Counters, read_so_far
from recodex_monitor.channels.hub import Hub
from recodex_monitor.settings.schema import LiveSettings
from tests.support.channels import Follower
from tests.support.messages import message


class ReadSoFarTests(SynchronousTestCase):
    """What followers have read."""

    def setUp(self) -> None:
        """A hub with a channel."""
        self.clock = Clock()
        self.hub = Hub(self.clock, LiveSettings())
        self.hub.publish([message("job", "A"), message("job", "B")])

    def test_messages_and_bytes(self) -> None:
        """Messages and bytes are those from the start of a subscription to its position."""
        follower = Follower(self.hub, self.clock).start()
        self.assertEqual(read_so_far(follower), (2, len(self.hub.channels["job"].log)))
        self.hub.publish([message("job", "C")])
        self.assertEqual(read_so_far(follower)[0], 3)

    def test_after_the_end(self) -> None:
        """What a follower has read is counted when it leaves."""
        follower = Follower(self.hub, self.clock).start()
        self.hub.unsubscribe(follower)
        self.assertEqual(self.hub.counters.messages, 2)


class ClosedTests(SynchronousTestCase):
    """Connections that have ended."""

    def test_cut(self) -> None:
        """A client that still had something to read is noted, with the time it had followed."""
        clock = Clock()
        hub = Hub(clock, LiveSettings())
        hub.publish([message("job", "A")])
        clock.advance(5)
        follower = Follower(hub, clock).start()
        counts = Counters()
        counts.closed("websocket", "1006", follower, follower.since + 7)
        counts.closed("websocket", "1006", None, 20)
        self.assertEqual(counts.gone, {("websocket", "1006"): 2})
        self.assertEqual([(cut.id, cut.lasted) for cut in counts.cuts], [("job", 7)])
