"""Where a hub has its channels' messages from: the broker, or another node of a cluster."""

from collections.abc import Callable
from typing import Protocol

from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.retention import NoRoom


class NotReadable(NoRoom):
    """The messages of a channel cannot be had soon: the engine of the cluster is away."""


class Source(Protocol):
    """Loads channels, and is told which of them are followed."""

    def when_loaded(
        self,
        channel_id: str,
        call: Callable[[], object],
        refuse: Callable[[], object],
        after: str = "",
    ) -> None:
        """Call once the hub has all messages of a channel; whoever subscribes does it then.

        Args:
            channel_id: of the channel.
            call: called once.
            refuse: called in its place if the messages cannot be had soon.
            after: the id of the last message that the client has got, anywhere; if the hub does
                not have it then, nobody has.

        Raises:
            NotReadable: that is known already; neither is called.
        """

    def unfollowed(self, channel: Channel) -> None:
        """Note that nobody follows a channel any more."""


class LocalSource:
    """The source of a hub to which the broker's messages come directly: all are there."""

    def when_loaded(
        self,
        channel_id: str,
        call: Callable[[], object],
        refuse: Callable[[], object],
        after: str = "",
    ) -> None:
        """Call at once; see Source."""
        call()

    def unfollowed(self, channel: Channel) -> None:
        """Do nothing; see Source."""
