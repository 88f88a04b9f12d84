"""Following many channels on one connection: a subscription for each, which take turns.

What a client gets of a channel is SUBSCRIBED, its messages, and END, each with the channel. A
client that takes nothing more delays nobody else. Those of its channels that have something to
read wait in a line, and are then read a chunk at a time.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from recodex_monitor.channels.channel import Client
from recodex_monitor.channels.hub import Hub
from recodex_monitor.channels.retention import NoRoom
from recodex_monitor.clients.access import Access
from recodex_monitor.clients.announcements import Announcements
from recodex_monitor.clients.channel_delivery import ChannelDelivery
from recodex_monitor.clients.encoding import Encoding, text_of
from recodex_monitor.clients.refusals import ENGINE_AWAY, refusal_of
from recodex_monitor.network.tokens import Token, TokenRefused
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import TimeSlices
from recodex_monitor.timing.throttle import ThrottledCounts
from recodex_monitor.timing.timeouts import Timeouts


def is_valid_id(channel_id: str, longest: int) -> bool:
    """Whether a text can be the id of a channel, which has ``longest`` bytes at most."""
    try:
        return 0 < len(channel_id.encode()) <= longest
    except UnicodeEncodeError:  # a surrogate without its other half
        return False


def refused(channel_id: str | None, reason: str, detail: str | None = None) -> bytes:
    """The text that says that a channel is not followed; None for a request that names none."""
    details = {} if detail is None else {"detail": detail}
    return text_of(channel=channel_id, command="REFUSED", reason=reason, **details)


class JobsClient(Client, Protocol):
    """A client that follows many channels."""

    def send(self, data: bytes) -> None:
        """Send these bytes; only called if nothing is waiting to be sent."""

    def followed(self, channel_id: str) -> None:
        """Called when a channel is followed."""

    def refuse(self, channel_id: str | None, reason: str, detail: str | None = None) -> None:
        """Called when a channel cannot be followed; tell the client why."""

    def nothing_followed(self) -> None:
        """Called when the last channel has ended, or was left because the monitor stops."""

    def abandon(self) -> None:
        """Called to end the connection after an internal error."""

    def cut(self) -> None:
        """Called to end the connection at once: the client does not read the rest in time."""


class Shared:
    """What all clients of many channels share.

    Attributes:
        hub: has the channels.
        announcements: makes the monitor's own messages.
        settings: have the limits.
        refused: counts those for whom there is no room.
        access: decides who may follow what.
        seconds: tells the time.
        finishing: ended channels whose rest is being read.
    """

    def __init__(
        self,
        hub: Hub,
        announcements: Announcements,
        settings: LiveSettings,
        clock: Clock,
        refused: ThrottledCounts,
        access: Access,
    ) -> None:
        """Begin without clients; see the class."""
        self.hub = hub
        self.announcements = announcements
        self.settings = settings
        self.refused = refused
        self.access = access
        self.seconds = clock.seconds
        self.finishing = Timeouts[ChannelDelivery](lambda: settings.limits.finish_timeout)
        self.sweep = TimeSlices(clock, self._sweep_steps)
        """Cuts the clients that read too slowly; call it every second."""

    def _sweep_steps(self) -> Iterator[None]:
        for delivery in self.finishing.pop_due(self.seconds()):
            delivery.following.client.cut()
            yield


class FollowedChannels:
    """The channels that one client follows.

    Attributes:
        client: sends what is read.
        shared: see Shared.
        encode: encodes a message of the monitor itself.
        deliveries: by channel id.
        token: with which channels are followed from now on.
        is_paused: the client takes nothing more for now.
        is_leaving: end each subscription as soon as everything is read.
    """

    def __init__(
        self,
        shared: Shared,
        client: JobsClient,
        encoding: Encoding,
        encode: Callable[[bytes], bytes],
    ) -> None:
        """Follow nothing yet.

        Args:
            shared: see Shared.
            client: see JobsClient.
            encoding: of a channel's messages.
            encode: encodes a message of the monitor itself.
        """
        self.client = client
        self.deliveries: dict[str, ChannelDelivery] = {}
        self.is_paused = self.is_leaving = False
        self.shared = shared
        self._encoding = encoding
        self.encode = encode
        self._waiting: dict[ChannelDelivery, None] = {}
        self._opening: dict[str, object] = {}
        self.token: Token | None = None

    def request(self, channel_id: str, after: str) -> None:
        """Follow a channel if it may be; nothing is done if it is followed; see ``follow``."""
        limits = self.shared.settings.limits
        if channel_id in self:
            return
        if not is_valid_id(channel_id, limits.max_channel_id):
            self.client.refuse(channel_id, "id")
        elif len(self) >= limits.max_channels_per_client:
            self.client.refuse(channel_id, "limit")
        else:
            try:
                self.shared.access.check(self.token, channel_id)
            except TokenRefused as refused:
                self.client.refuse(channel_id, "token", refused.detail)
            else:
                self.follow(channel_id, after, self.token)

    def use_token(self, text: str) -> None:
        """Use this token for what is followed from now on, and extend what it covers already.

        Raises:
            TokenRefused: it is not accepted.
        """
        self.token = self.shared.access.token(text)
        for channel_id, delivery in self.deliveries.items():
            if self.token is not None and self.token.covers(channel_id):
                delivery.token = self.token
                self.shared.access.extend(delivery, self.token)

    def follow(self, channel_id: str, after: str, token: Token | None) -> None:
        """Follow a channel, as soon as its messages are here.

        Args:
            channel_id: of the channel, which is not followed yet.
            after: the id of the message after which to begin; at the first if it is not known.
            token: with which it is followed.
        """
        opening = self._opening[channel_id] = object()

        def begin() -> None:
            if self._opening.get(channel_id) is opening:
                del self._opening[channel_id]
                self._begin(channel_id, after, token)

        def refuse(error: NoRoom = ENGINE_AWAY) -> None:
            if self._opening.get(channel_id) is opening:
                del self._opening[channel_id]
                self._refuse(channel_id, error)

        try:
            self.shared.hub.source.when_loaded(channel_id, begin, refuse, after)
        except NoRoom as error:
            refuse(error)

    def _begin(self, channel_id: str, after: str, token: Token | None) -> None:
        delivery = ChannelDelivery(self, self._encoding, token)
        try:
            self.shared.hub.subscribe(channel_id, delivery)
        except NoRoom as error:
            self._refuse(channel_id, error)
            return
        self.deliveries[channel_id] = delivery
        self.shared.access.begin(delivery, token)
        self.client.followed(channel_id)
        delivery.recovered = delivery.resume(after)
        self.shared.hub.wake(delivery)

    def _refuse(self, channel_id: str, error: NoRoom) -> None:
        self.shared.refused.add(refusal_of(error).reason, error)
        self.client.refuse(channel_id, "room")

    def __len__(self) -> int:
        """How many channels are followed, or are about to be."""
        return len(self.deliveries) + len(self._opening)

    def __contains__(self, channel_id: str) -> bool:
        """Whether a channel is followed, or is about to be."""
        return channel_id in self.deliveries or channel_id in self._opening

    def unfollow(self, channel_id: str) -> None:
        """Follow a channel no longer, if it was followed."""
        self._opening.pop(channel_id, None)
        delivery = self.deliveries.pop(channel_id, None)
        if delivery is not None:
            self._waiting.pop(delivery, None)
            self.shared.finishing.discard(delivery)
            self.shared.access.discard(delivery)
            self.shared.hub.unsubscribe(delivery)

    def unfollow_all(self) -> None:
        """Follow nothing any longer."""
        self._opening.clear()
        for channel_id in tuple(self.deliveries):
            self.unfollow(channel_id)

    def resume(self) -> None:
        """Let those that wait read on, in their order, as long as the client takes something.

        Call it after ``is_paused`` was set to false.
        """
        for delivery in tuple(self._waiting):
            if self.is_paused:
                break
            delivery.is_paused = False
            self.shared.hub.wake(delivery)

    def leave(self) -> None:
        """Follow nothing any longer, once everything so far is read."""
        self.is_leaving = True
        self._opening.clear()
        for delivery in tuple(self.deliveries.values()):
            self.shared.hub.wake(delivery)
        if not self.deliveries:
            self.client.nothing_followed()

    def wait(self, delivery: ChannelDelivery) -> None:
        """Read a channel on when the client takes something again, in its turn."""
        delivery.is_paused = True
        self._waiting.setdefault(delivery)

    def take_turn(self, delivery: ChannelDelivery, data: bytes) -> None:
        """Send what was read of a channel; if there is more, that waits behind all others."""
        if self._waiting:
            self._waiting.pop(delivery, None)
        if data:
            self.client.send(data)

    def read_up(self, delivery: ChannelDelivery) -> None:
        """Note that all of a channel was sent, and nothing will follow."""
        self.unfollow(delivery.channel.id)
        if not len(self):
            self.client.nothing_followed()
