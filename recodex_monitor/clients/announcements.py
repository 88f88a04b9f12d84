"""What the monitor itself tells clients that understand ids: SUBSCRIBED, PING and END.

The keys of SUBSCRIBED and END are those of a snapshot, too. Clients of a bare id get none of it.
"""

from collections.abc import Callable

from recodex_monitor.channels.channel import Channel
from recodex_monitor.channels.hub import Hub
from recodex_monitor.clients.encoding import text_of

HasBroker = Callable[[], bool]
"""Whether a broker is connected; where there are several nodes, to any of them."""


class Announcements:
    """Makes the texts of the monitor's own messages; they are JSON objects."""

    def __init__(self, hub: Hub, seconds: Callable[[], float], has_broker: HasBroker) -> None:
        """Tell what these know.

        Args:
            hub: has the channels.
            seconds: tells the hub's time.
            has_broker: see HasBroker.
        """
        self._hub = hub
        self._seconds = seconds
        self._has_broker = has_broker

    def subscribed(self, channel: Channel, *, recovered: bool) -> bytes:
        """The first message: whether the client's id was found, and what is known besides."""
        return text_of(command="SUBSCRIBED", recovered=recovered, **self.present(channel))

    def ping(self) -> bytes:
        """A heartbeat."""
        return text_of(command="PING", broker=self._has_broker())

    def end(self, channel: Channel) -> bytes:
        """The last message, of a channel that has ended."""
        return text_of(command="END", reason=channel.end, outcome=channel.outcome)

    def present(self, channel: Channel | None) -> dict[str, object]:
        """What a page may want to know of a channel now; None is one that does not exist.

        ``age`` is in seconds since its last message, null without one; ``broker`` tells whether
        one is connected; ``forgotten`` how the job of a channel went that is no longer kept.
        """
        told: dict[str, object] = {"age": self._age(channel), "broker": self._has_broker()}
        if channel is not None and channel.forgotten is not None:
            told["forgotten"] = channel.outcome
        return told

    def _age(self, channel: Channel | None) -> float | None:
        at = None if channel is None else self._hub.retention.last_message(channel)
        return None if at is None else round(max(0.0, self._seconds() - at), 1)
