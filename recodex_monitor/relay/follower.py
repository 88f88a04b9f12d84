"""The follower: reads from the engine the channels that somebody follows on this node."""

from collections import deque
from collections.abc import Callable
from enum import Enum

from twisted.logger import Logger

from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.relay.engine import Commands
from recodex_monitor.relay.layout import Batch, Keys, parse_news
from recodex_monitor.relay.mirror import Gap, Mirror
from recodex_monitor.relay.queue import ReadQueue
from recodex_monitor.relay.reading import Reading
from recodex_monitor.relay.subscriptions import Subscriptions
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.timeouts import Timeouts

_log = Logger()

MOST_NEWS = 1000
"""Batches that are kept of a channel while it is read; if the oldest are lost, it is read again."""

LINGER = 30.0
"""Seconds for which a channel without followers is kept: long polls come back."""


class State(Enum):
    """How far the reading of a channel is."""

    SUBSCRIBING = "subscribing"
    READING = "reading"
    LIVE = "live"


class Followed:
    """A channel that is read from the engine.

    Attributes:
        state: how far the reading is.
        is_loaded: whether the hub has had all messages at least once.
        news: what was published while it was read.
        waiting: called once it is loaded; or what refuses, if it cannot be.
    """

    __slots__ = ("is_loaded", "news", "state", "waiting")

    def __init__(self) -> None:
        self.state = State.SUBSCRIBING
        self.is_loaded = False
        self.news: deque[Batch] = deque(maxlen=MOST_NEWS)
        self.waiting: list[tuple[Callable[[], object], Callable[[], object]]] = []

    def loaded(self) -> None:
        """Note that the hub has all messages, and begin for all that wait for it."""
        self.is_loaded = True
        self.tell_waiting(0)

    def tell_waiting(self, which: int) -> None:
        """Call ``begin`` (0) or ``refuse`` (1) of all that wait."""
        waiting, self.waiting = self.waiting, []
        for calls in waiting:
            try:
                calls[which]()
            except NoRoom:
                calls[1]()
            except Exception:
                _log.failure("a client could not begin to follow, or be refused")


class Follower:
    """Subscribes to channels, reads what they have, and adds what is published to the hub.

    It subscribes first and reads when that is acknowledged, so that nothing is missed between; what
    comes twice has a number that the hub has already. A number that is missing makes it read again.

    Attributes:
        hub: gets what is read.
        followed: by channel id.
        gaps: how often a number was missing.
    """

    def __init__(self, engine: Commands, keys: Keys, mirror: Mirror, clock: Clock) -> None:
        """Follow nothing yet."""
        self.hub = mirror.hub
        self.followed: dict[str, Followed] = {}
        self.gaps = 0
        self._mirror = mirror
        self._clock = clock
        self._queue = ReadQueue(Reading(engine, keys, mirror), clock, self._read)
        self._subscriptions = Subscriptions(engine, keys)
        self._lingering = Timeouts[str](lambda: LINGER)

    @property
    def unread(self) -> int:
        """How many channels are known to lack messages that the engine has."""
        return sum(one.state is not State.LIVE for one in self.followed.values())

    def follow(self, channel_id: str) -> Followed:
        """Follow a channel, if that is not done already."""
        self._lingering.discard(channel_id)
        one = self.followed.get(channel_id)
        if one is None:
            one = self.followed[channel_id] = Followed()
            self._subscriptions.add([channel_id])
        return one

    def when_loaded(
        self,
        channel_id: str,
        call: Callable[[], object],
        refuse: Callable[[], object],
        *,
        anew: bool = False,
    ) -> None:
        """Follow a channel, and call once the hub has all its messages; see channels.source.

        Args:
            channel_id: of the channel.
            call: called once.
            refuse: called in its place if the channel cannot be read soon.
            anew: read it again, even if the hub seems to have everything.
        """
        one = self.follow(channel_id)
        if anew and one.state is not State.SUBSCRIBING:
            self._read_again(channel_id)
        if one.is_loaded and not anew:
            call()
            self.unfollowed(channel_id)
        else:
            one.waiting.append((call, refuse))

    def refuse_waiting(self) -> None:
        """Refuse all that wait for a channel."""
        for channel_id, one in self.followed.items():
            if one.waiting:
                one.tell_waiting(1)
                self._lingering.put(channel_id, self._clock.seconds())

    def unfollowed(self, channel_id: str) -> None:
        """Note that a client has left, or only looked; does nothing if others follow it here."""
        channel = self._mirror.hub.channels.get(channel_id)
        is_followed = channel is not None and channel.subscriptions
        if channel_id in self.followed and not is_followed:
            self._lingering.put(channel_id, self._clock.seconds())

    def forget(self, channel_id: str) -> None:
        """Stop following a channel that is not in the hub, unless somebody waits for it."""
        self._lingering.discard(channel_id)
        one = self.followed.get(channel_id)
        if one is not None and not one.waiting:
            del self.followed[channel_id]
            self._subscriptions.remove([channel_id])

    def forget_all(self) -> None:
        """Stop following, and begin for all that wait: the hub has all channels."""
        followed, self.followed = self.followed, {}
        self._subscriptions.remove(followed)
        self._queue.begin()
        self._lingering.clear()
        for one in followed.values():
            one.loaded()

    def tick(self) -> None:
        """Drop channels that nobody has followed for a while; to be called every second."""
        hub = self._mirror.hub
        for channel_id in self._lingering.pop_due(self._clock.seconds()):
            channel = hub.channels.get(channel_id)
            if channel is None:
                self.forget(channel_id)
            elif not channel.subscriptions:
                hub.retention.drop(channel)

    def began(self) -> None:
        """Subscribe to everything anew, since the engine knows nothing of an earlier session."""
        self._queue.begin()
        for one in self.followed.values():
            one.state = State.SUBSCRIBING
            one.news.clear()
        self._subscriptions.begin(self.followed)

    def subscribed(self, channel_id: str) -> None:
        """Read a channel, since from now on all that is published of it comes here."""
        if self._subscriptions.is_begun(channel_id) and channel_id in self.followed:
            self._read_again(channel_id)

    def _read_again(self, channel_id: str) -> None:
        self.followed[channel_id].state = State.READING
        self._queue.add(channel_id)

    def _read(self, channel_id: str) -> None:
        """Add what was published while a channel was read, which has just been."""
        one = self.followed.get(channel_id)
        channel = self._mirror.hub.channels.get(channel_id)
        if one is None:
            # The last follower left while it was read.
            if channel is not None and not channel.subscriptions:
                self._mirror.hub.retention.drop(channel)
            return
        if one.state is not State.READING:
            return  # It was subscribed to again.
        one.state = State.LIVE
        while one.news and one.state is State.LIVE:
            self._add(channel_id, one.news.popleft())
        if one.state is not State.LIVE:
            return
        one.loaded()
        self.unfollowed(channel_id)

    def told(self, channel_id: str, payload: bytes) -> None:
        """Add what was published of a channel."""
        one = self.followed.get(channel_id)
        if one is None or one.state is State.SUBSCRIBING:
            return
        batch = parse_news(channel_id, payload)
        if one.state is State.READING:
            one.news.append(batch)
        else:
            self._add(channel_id, batch)

    def _add(self, channel_id: str, batch: Batch) -> None:
        if self._mirror.is_other(batch):
            self._read_again(channel_id)
            return
        try:
            self._mirror.apply((batch,))
        except Gap:
            # What is published is in the stream already, so reading brings this batch, too.
            self.gaps += 1
            self._read_again(channel_id)
