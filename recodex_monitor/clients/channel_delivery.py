"""The subscription of a client that follows many channels to one of them."""

from typing import TYPE_CHECKING

from recodex_monitor.clients.delivery import Resumable
from recodex_monitor.clients.encoding import Encoding, of_channel
from recodex_monitor.network.tokens import Token

if TYPE_CHECKING:
    from recodex_monitor.clients.following import FollowedChannels


class ChannelDelivery(Resumable):
    """The subscription of a client to one of its channels.

    Attributes:
        following: all those of the client.
        token: with which the channel is followed.
        recovered: whether the client's id was found; None once SUBSCRIBED was sent.
    """

    __slots__ = ("_encoding", "count", "following", "recovered", "token")

    def __init__(
        self, following: "FollowedChannels", encoding: Encoding, token: Token | None
    ) -> None:
        """Begin at the channel's first message.

        Args:
            following: see the class.
            encoding: of the messages.
            token: see the class.
        """
        super().__init__()
        self.client = following.client
        self.following = following
        self.token = token
        self.recovered: bool | None = False
        self._encoding = encoding
        self.count = 0

    def wake(self) -> bool:
        """Send what comes next, unless the client takes nothing more; see Subscription."""
        following = self.following
        if following.is_paused:
            following.wait(self)
            return False
        data = self.read()
        if self.recovered is not None:
            data, self.recovered = self._subscribed() + data, None
        has_ended = self.channel.end is not None
        is_read = self.position == len(self.channel.log)
        if is_read and has_ended:
            data += self._end()
        following.take_turn(self, data)
        if is_read:
            if has_ended or following.is_leaving:
                following.read_up(self)
            return False
        if has_ended:
            following.shared.finishing.put_once(self, following.shared.seconds())
        if following.is_paused:
            following.wait(self)
        return not self.is_paused

    def abandon(self) -> None:
        """End the connection; see Subscription."""
        self.following.client.abandon()

    def restart(self) -> None:
        """Follow the channel anew, from its first message on; see Subscription."""
        channel_id = self.channel.id
        self.following.unfollow(channel_id)
        self.following.follow(channel_id, "", self.token)

    def expired(self) -> None:
        """Follow the channel no longer, because the token has expired; see access.Expiring."""
        channel_id = self.channel.id
        self.following.unfollow(channel_id)
        self.following.client.refuse(channel_id, "token", "expired")

    def _subscribed(self) -> bytes:
        announcements, recovered = self.following.shared.announcements, bool(self.recovered)
        return self._encoded(announcements.subscribed(self.channel, recovered=recovered))

    def _end(self) -> bytes:
        return self._encoded(self.following.shared.announcements.end(self.channel))

    def _encoded(self, text: bytes) -> bytes:
        return self.following.encode(of_channel(text, self.channel.id))
