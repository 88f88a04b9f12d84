"""Followers in memory, and a hub whose time the test lets pass."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.channels.channel import Client, End, Subscription
from recodex_monitor.channels.frames import text_frame
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.message import Message, finished
from tests.support.settings import live

RETENTION, GRACE, IDLE = 30, 10, 60


def message(command: str, channel_id: str = "job", text: str = "") -> Message:
    """A message whose text is its command, unless one is given."""
    return Message(channel_id, command, (text or command).encode())


def frames(*texts: str) -> bytes:
    """The log of these texts."""
    return b"".join(text_frame(text.encode()) for text in texts)


ADDED = finished("job").text.decode()
"""The text of the FINISHED that the monitor adds where the broker sent none."""


class Follower(Subscription):
    """A subscription that reads as a client's connection does, a chunk at each wake.

    It takes ``room`` chunks before it waits to be resumed; each wake lasts ``cost`` seconds.
    """

    def __init__(
        self, hub: Hub, clock: Clock, channel_id: str = "job", client: Client | None = None
    ) -> None:
        super().__init__()
        self.client = client
        self.hub = hub
        self.clock = clock
        self.got = b""
        self.wakes = 0
        self.room = 1_000_000
        self.cost = 0.0
        self.end: End | None = None
        self.abandoned = False
        hub.subscribe(channel_id, self)

    def start(self) -> "Follower":
        """Read what is there already."""
        self.hub.wake(self)
        return self

    def wake(self) -> bool:
        """Called by the hub."""
        self.wakes += 1
        self.clock.rightNow += self.cost
        if not self.room:
            return False
        if chunk := self.read():
            self.got += chunk
            self.room -= 1
        if self.behind:
            return self.room > 0
        if self.channel.end is not None:
            self.end = self.channel.end
            self.hub.unsubscribe(self)
        return False

    def abandon(self) -> None:
        """Called by the hub."""
        self.abandoned = True

    def resume(self, room: int = 1_000_000) -> None:
        """Have room for more chunks."""
        self.room = room
        self.hub.wake(self)


class HubTestCase(SynchronousTestCase):
    """A hub whose time the test lets pass."""

    def setUp(self) -> None:
        """Make the hub and its clock."""
        self.clock = Clock()
        self.hub = Hub(self.clock, live(retention=RETENTION, failed_grace=GRACE, idle_timeout=IDLE))

    def publish(self, *commands: str, channel_id: str = "job") -> None:
        """Publish messages to a channel, as one batch."""
        self.hub.publish([message(command, channel_id) for command in commands])

    def follow(self, channel_id: str = "job") -> Follower:
        """Follow a channel."""
        return Follower(self.hub, self.clock, channel_id).start()

    def let_pass(self, seconds: int) -> None:
        """Let time pass, with what is done every second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.hub.expire()
