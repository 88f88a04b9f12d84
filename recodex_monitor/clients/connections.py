"""Who is connected, by whichever protocol, and who may be."""

import resource
from collections.abc import Iterator
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from recodex_monitor.clients.admission import LOCAL, Admission, Refused
from recodex_monitor.settings.schema import Limits
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import Turns
from recodex_monitor.timing.throttle import Dropped
from recodex_monitor.timing.timeouts import Deadlines

_log = Logger()

SPARE_FILES = 100
"""Open files that are not for clients, nor for telling them that there is no room."""


class Guest(Protocol):
    """A connection."""

    transport: Any

    def leave(self) -> None:
        """End, since the monitor stops, once the client has got all that is due."""

    def cut(self) -> None:
        """End at once, with what is due."""


class Reception:
    """Knows all connections, and gives places to clients.

    Attributes:
        connections: all that are open, those without a place included.
        refused: counts whom there was no place for.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        """Nobody is there yet.

        Args:
            limits: of the connections.
            clock: tells the time.
        """
        self.connections: set[Guest] = set()
        self.refused = Dropped(_log, "client", clock.seconds)
        self._admission = Admission(limits)
        self._limits = limits
        self._seconds = clock.seconds
        self._silent = Deadlines[Any](lambda: limits.handshake_timeout)
        self.sweep = Turns(clock, self._sweep_steps)
        """Cuts the clients that have asked for nothing in time; call it every second."""
        self._all_gone: list[Deferred[None]] = []
        self.allows = self._admission.allows
        self.release = self._admission.release

    def has_room(self) -> bool:
        """Whether there may be another connection at all, so that it can at least be answered.

        Twice as many connections as places leaves room to tell the others that there are none.
        The last descriptors are for the broker: a connection that it cannot accept makes
        ZeroMQ's thread spin.
        """
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = min(2 * self._limits.max_connections, allowed - min(SPARE_FILES, allowed // 4))
        if len(self.connections) < room:
            return True
        self.refused.add("no room", "too many connections, those in their handshake included")
        return False

    def admit(self, transport: Any, forwarded_for: str, origin: str) -> str:
        """Give a client a place; returns its address, with which ``release`` takes it back.

        Args:
            transport: of its connection.
            forwarded_for: the value of X-Forwarded-For; empty without one.
            origin: of the page that connects; empty for a client that is no page.

        Raises:
            Refused: there is no place, or the page may not connect.
        """
        peer = getattr(transport.getPeer(), "host", LOCAL)
        try:
            return self._admission.admit(peer, forwarded_for, origin or None)
        except Refused as refused:
            self.refused.add(refused.reason, refused)
            raise

    def opened(self, guest: Guest) -> None:
        """A client has connected, and has some time to ask for something."""
        self.connections.add(guest)
        self._silent.put(guest.transport, self._seconds())

    def asked(self, transport: Any) -> None:
        """A client has sent the whole head of a request, by this transport."""
        self._silent.discard(transport)

    def changed(self, old: Guest, new: Guest) -> None:
        """A connection has another protocol."""
        self.connections.add(new)
        self.connections.discard(old)

    def lost(self, guest: Guest) -> None:
        """A client has gone."""
        self._silent.discard(guest.transport)
        self.connections.discard(guest)
        if not self.connections:
            waiting, self._all_gone = self._all_gone, []
            for deferred in waiting:
                deferred.callback(None)

    def _sweep_steps(self) -> Iterator[None]:
        for transport in self._silent.pop_due(self._seconds()):
            transport.abortConnection()
            yield

    def close_all(self) -> Deferred[None]:
        """Send everybody away since the monitor stops; fires when all have gone."""
        gone: Deferred[None] = Deferred()
        self._all_gone.append(gone)
        for guest in tuple(self.connections):
            guest.leave()
        if not self.connections:
            self._all_gone.remove(gone)
            gone.callback(None)
        return gone

    def abort_all(self) -> None:
        """End what is left of the connections at once."""
        for guest in tuple(self.connections):
            guest.cut()
