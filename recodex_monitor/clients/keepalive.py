"""Pings, heartbeats and timeouts of WebSocket connections.

One sweep a second serves all connections, in place of several timers for each.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from recodex_monitor.clients.close_codes import POLICY
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import TimeSlices
from recodex_monitor.timing.timeouts import Timeouts


class Peer(Protocol):
    """A WebSocket client after its handshake.

    Attributes:
        connection: its ``websocket.SubscriberProtocol``.
    """

    connection: Any

    def ping(self) -> None:
        """Ask the client for a sign of life."""

    def is_alive(self) -> bool:
        """Whether a client that has not answered a ping shows another sign of life."""

    def heartbeat(self) -> None:
        """Send a heartbeat."""


class Keepalive:
    """Sends pings and heartbeats, and ends connections whose clients miss a timeout.

    The settings that apply are ``subscribe_timeout``, ``ping_interval``, ``ping_timeout``,
    ``heartbeat``, ``finish_timeout`` and ``close_timeout``.
    """

    def __init__(self, settings: LiveSettings, clock: Clock) -> None:
        """Begin without connections.

        Args:
            settings: have the times.
            clock: tells the time.
        """
        self._seconds = clock.seconds
        self._finishing = Timeouts[Peer](lambda: settings.limits.finish_timeout)
        self._unsubscribed = Timeouts[Peer](lambda: settings.limits.subscribe_timeout)
        self._pinged = Timeouts[Peer](lambda: settings.limits.ping_timeout)
        self._silent = Timeouts[Peer](lambda: settings.limits.ping_interval)
        self._quiet = Timeouts[Peer](lambda: settings.limits.heartbeat)
        self._closing = Timeouts[Peer](lambda: settings.limits.close_timeout)
        self._actions: tuple[tuple[Timeouts[Peer], Callable[[Peer], None]], ...] = (
            (self._finishing, _cut),
            (self._unsubscribed, _close_without_channel),
            (self._pinged, self._cut_unless_alive),
            (self._silent, self._ping),
            (self._quiet, _send_heartbeat),
            (self._closing, self._drop),
        )
        self.sweep = TimeSlices(clock, self._sweep_steps)
        """Sends and ends what it is time for; call it every second."""

    def opened(self, peer: Peer) -> None:
        """Wait for the channel id: the handshake is over."""
        self._unsubscribed.put(peer, self._seconds())

    def subscribed(self, peer: Peer) -> None:
        """Note that the client has sent its channel id."""
        self._unsubscribed.discard(peer)

    def heard(self, peer: Peer) -> None:
        """Note that the client of an open connection has sent something."""
        self._pinged.discard(peer)
        self._silent.put(peer, self._seconds())

    def sent(self, peer: Peer) -> None:
        """Put off the heartbeat of a client that expects some: it was sent something."""
        self._quiet.put(peer, self._seconds())

    def finishing(self, peer: Peer) -> None:
        """Wait until the client has read the rest: nothing more will be written."""
        self._finishing.put_once(peer, self._seconds())

    def closing(self, peer: Peer) -> None:
        """Wait for the client's close frame: ours was sent."""
        for timeouts in (self._unsubscribed, self._silent, self._pinged, self._quiet):
            timeouts.discard(peer)
        self._closing.put(peer, self._seconds())
        self.finishing(peer)

    def lost(self, peer: Peer) -> None:
        """Forget a connection that has ended."""
        for timeouts, _ in self._actions:
            timeouts.discard(peer)

    def _sweep_steps(self) -> Iterator[None]:
        now = self._seconds()
        for timeouts, act in self._actions:
            for peer in timeouts.pop_due(now):
                act(peer)
                yield

    def _cut_unless_alive(self, peer: Peer) -> None:
        if peer.is_alive():
            self._silent.put(peer, self._seconds())
        else:
            peer.connection.cut()

    def _ping(self, peer: Peer) -> None:
        self._pinged.put(peer, self._seconds())
        peer.ping()

    def _drop(self, peer: Peer) -> None:
        # Wait for a client that has not yet read everything; if it reads nothing more, the
        # kernel gives up after stall_timeout.
        if peer.connection.transport.unsent():
            self._closing.put(peer, self._seconds())
        else:
            peer.connection.dropConnection()


def _cut(peer: Peer) -> None:
    peer.connection.cut()


def _close_without_channel(peer: Peer) -> None:
    peer.connection.sendCloseFrame(POLICY, b"no channel id was sent")


def _send_heartbeat(peer: Peer) -> None:
    peer.heartbeat()
