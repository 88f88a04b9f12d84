"""Deliveries, with recipients in memory."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import CHUNK_SIZE
from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.delivery import Delivery, ResumableDelivery, resume_point
from recodex_monitor.clients.encoding import FRAMES
from recodex_monitor.settings.schema import LiveSettings
from tests.clients.support import RUNNING
from tests.support.frames import frames
from tests.support.messages import message


class FakeClient:
    """Records what a delivery sends and calls: a ``Recipient`` and a ``Sender``."""

    kind = "websocket"
    address = "192.0.2.1"

    def __init__(self) -> None:
        self.received = b""
        self.calls: list[str] = []
        self.fills_after = 10**9
        self.delivery: Delivery | None = None

    def send(self, data: bytes) -> None:
        """Called with what is to be sent; the connection is full after ``fills_after`` bytes."""
        self.received += data
        if len(self.received) >= self.fills_after and self.delivery is not None:
            self.delivery.is_paused = True

    def sent(self) -> None:
        """Called after something was sent."""
        self.calls.append("sent")

    def finishing(self) -> None:
        """Called if there is more to take of a channel that has ended."""
        self.calls.append("finishing")

    def delivered(self) -> None:
        """Called when all is sent."""
        self.calls.append("delivered")

    def abandon(self) -> None:
        """Called after an internal error."""
        self.calls.append("abandon")


class DeliveryTestCase(SynchronousTestCase):
    """A hub with a channel."""

    def setUp(self) -> None:
        """Publish two messages."""
        self.clock = Clock()
        self.hub = Hub(self.clock, LiveSettings())
        self.publish("STARTED", "ENDED")
        self.client = FakeClient()

    def publish(self, *commands: str) -> None:
        """Publish messages with these commands."""
        self.hub.publish([message("job", command) for command in commands])

    def texts(self) -> list[bytes]:
        """The payloads of all frames that were sent."""
        return [payload for _, payload in frames(self.client.received)]


class DeliveryTests(DeliveryTestCase):
    """Messages without ids."""

    def follow(self) -> Delivery:
        """A delivery that was woken once."""
        delivery = Delivery(self.client, self.client)
        self.client.delivery = delivery
        self.hub.subscribe("job", delivery)
        self.hub.wake(delivery)
        return delivery

    def test_replay_then_live(self) -> None:
        """All messages so far are sent at once, and later ones when they come."""
        self.follow()
        self.assertEqual(len(self.texts()), 2)
        self.publish("UPLOADED")
        self.assertEqual(self.texts()[2:], [b'{"command": "UPLOADED"}'])
        self.assertEqual(self.client.calls, [])

    def test_end(self) -> None:
        """At the channel's end the client is told that all is delivered."""
        self.follow()
        self.publish("FINISHED")
        self.assertEqual(self.client.calls, ["delivered"])

    def test_leaving(self) -> None:
        """A delivery that is to leave ends once all messages so far are sent."""
        delivery = self.follow()
        delivery.leaving = True
        self.hub.wake(delivery)
        self.assertEqual(self.client.calls, ["delivered"])

    def test_full_connection(self) -> None:
        """A delivery to a full connection keeps its position, and later goes on there."""
        self.hub.publish([message("job", *RUNNING)] * 10_000)
        self.client.fills_after = 1
        delivery = self.follow()
        self.assertLessEqual(delivery.position, CHUNK_SIZE + 200)
        self.assertEqual(delivery.position, len(self.client.received))
        self.publish("FINISHED")
        self.client.fills_after = 10**9
        delivery.is_paused = False
        self.hub.wake(delivery)
        self.clock.pump([0] * 500)
        self.assertEqual(self.texts()[-1], b'{"command": "FINISHED"}')
        self.assertEqual(self.client.calls[-1], "delivered")

    def test_abandoned(self) -> None:
        """A client whose sending fails is abandoned."""

        def fail(data: bytes) -> None:
            raise RuntimeError(data)

        self.follow()
        self.patch(self.client, "send", fail)
        self.publish("UPLOADED")
        self.assertEqual(self.client.calls, ["abandon"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class ResumableDeliveryTests(DeliveryTestCase):
    """Messages with ids."""

    def follow(self, after: str) -> bool:
        """Begin after this id; returns whether that was possible."""
        self.delivery = ResumableDelivery(self.client, self.client, FRAMES)
        self.hub.subscribe("job", self.delivery)
        recovered = self.delivery.resume(after)
        self.hub.wake(self.delivery)
        return recovered

    def test_from_the_start(self) -> None:
        """Without an id, or with an unknown one, all messages come, numbered from 1."""
        epoch = self.hub.channels["job"].epoch
        for after in ("", "x", "x:1", f"{epoch}:0", f"{epoch}:3", f"{epoch}:1:1"):
            self.client = FakeClient()
            self.assertFalse(self.follow(after), after)
            self.assertEqual(len(self.texts()), 2)
            self.assertIn(f'"id": "{epoch}:1"'.encode(), self.texts()[0])
            self.assertEqual(self.client.calls, ["sent"])

    def test_after_an_id(self) -> None:
        """With an id of the channel only later messages come, and the last id is known."""
        epoch = self.hub.channels["job"].epoch
        self.assertTrue(self.follow(f"{epoch}:1"))
        self.assertEqual(len(self.texts()), 1)
        self.assertEqual(self.delivery.last_id, f"{epoch}:2")
        self.publish("UPLOADED")
        self.assertEqual(self.delivery.last_id, f"{epoch}:3")

    def test_nothing_yet(self) -> None:
        """There is no last id before the first message."""
        delivery = ResumableDelivery(self.client, self.client, FRAMES)
        self.hub.subscribe("other", delivery)
        self.assertIsNone(delivery.last_id)


class ResumePointTests(SynchronousTestCase):
    """The parameters ``after`` and ``lastEventId`` of a request's target."""

    def test_query(self) -> None:
        """The last ``lastEventId`` counts, or else the first ``after``, empty or not."""
        for target, after in (
            ("/ws?after=a%3A1", "a:1"),
            ("/?x=1&after=a:1&after=b:2", "a:1"),
            ("/?after=", ""),
            ("/?after", ""),
            ("/?hereafter=a:1", None),
            ("/after=a:1", None),
            ("/?" + "x&" * 200 + "after=a:1", None),
            ("http://[/?after=a:1", None),
            ("/?lastEventId=a%3A1", "a:1"),
            ("/?lastEventId=", ""),
            ("/?lasteventid=a:1", None),
            ("/?after=a:1&lastEventId=a:2", "a:2"),
            ("/?lastEventId=a:2&after=a:3&lastEventId=a:4", "a:4"),
            ("/?after=a:1&lastEventId=", "a:1"),
        ):
            self.assertEqual(resume_point(target), after, target)
