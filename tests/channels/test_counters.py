"""What has happened since the start."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.counters import Counts, close_code, taken
from recodex_monitor.channels.hub import Bounds, Hub
from tests.channels.test_hub import Reader
from tests.support.clients import message


class TakenTests(SynchronousTestCase):
    """What readers have got."""

    def setUp(self) -> None:
        """A hub with a channel."""
        self.clock = Clock()
        self.hub = Hub(self.clock, Bounds())
        self.hub.publish([message("job", "A"), message("job", "B")])

    def test_messages_and_bytes(self) -> None:
        """Messages and bytes are those between where a reader began and where it stands."""
        reader = Reader(self.hub, self.clock).start()
        self.assertEqual(taken(reader), (2, len(self.hub.channels["job"].log)))
        self.hub.publish([message("job", "C")])
        self.assertEqual(taken(reader)[0], 3)

    def test_who_has_gone_is_counted(self) -> None:
        """What a reader has got stays counted when it goes."""
        reader = Reader(self.hub, self.clock).start()
        self.hub.unsubscribe(reader)
        self.assertEqual(self.hub.counts.messages, 2)


class ClosedTests(SynchronousTestCase):
    """Connections that ended."""

    def test_codes(self) -> None:
        """Codes that no protocol knows are counted as one, so that they are few."""
        self.assertEqual(
            [close_code(code) for code in (1000, None, 1013)], ["1000", "1005", "1013"]
        )
        self.assertEqual({close_code(code) for code in (0, 999, 1004, 3000, 4999)}, {"other"})

    def test_cut(self) -> None:
        """A connection that still read is noted as cut, with how long it had lasted."""
        clock = Clock()
        hub = Hub(clock, Bounds())
        hub.publish([message("job", "A")])
        clock.advance(5)
        reader = Reader(hub, clock).start()
        counts = Counts()
        counts.closed("websocket", "1006", reader, reader.since + 7)
        counts.closed("websocket", "1006", None, 20)
        self.assertEqual(counts.gone, {("websocket", "1006"): 2})
        self.assertEqual([(cut.id, cut.lasted) for cut in counts.cuts], [("job", 7)])
