"""The open connections of all clients, whatever they speak, and their admission."""

import resource
from collections.abc import Iterator
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.logger import Logger

from recodex_monitor.clients.admission import LOCAL, Admission, OtherOrigin, Refused
from recodex_monitor.clients.forwarded import Source
from recodex_monitor.clients.refused_origins import RefusedOrigins
from recodex_monitor.settings.schema import LiveSettings
from recodex_monitor.timing.clock import Clock
from recodex_monitor.timing.slices import TimeSlices
from recodex_monitor.timing.throttle import ThrottledCounts
from recodex_monitor.timing.timeouts import Timeouts

_log = Logger()

SPARE_FILES = 100
"""File descriptors that are kept for other things than clients, such as the broker."""


class Connection(Protocol):
    """A client's open connection, whatever it speaks.

    Attributes:
        transport: as Twisted gives it to a protocol.
    """

    transport: Any

    def leave(self) -> None:
        """End, because the monitor stops, once the client has everything that is due to it."""

    def cut(self) -> None:
        """End at once, and discard what is still due."""


class Connections:
    """Knows all open connections, and counts the admitted clients.

    Attributes:
        clients: all open connections, admitted or not.
        refused: counts the refused clients.
        refused_origins: the last origins whose pages were refused.
        lists: see Admission.
        is_trusted: see Admission.
        release: see Admission.
    """

    def __init__(self, settings: LiveSettings, clock: Clock) -> None:
        """Begin without connections.

        Args:
            settings: have the limits.
            clock: tells the time.
        """
        self.clients: set[Connection] = set()
        self.refused = ThrottledCounts(_log, "client", clock.seconds)
        self.refused_origins = RefusedOrigins()
        self._admission = Admission(settings)
        self._settings = settings
        self._seconds = clock.seconds
        self._without_head = Timeouts[Any](lambda: settings.limits.handshake_timeout)
        self.sweep = TimeSlices(clock, self._sweep_steps)
        """Cuts the connections whose request has not come in time; call it every second."""
        self._all_gone: list[Deferred[None]] = []
        self.lists = self._admission.lists
        self.is_trusted = self._admission.is_trusted
        self.release = self._admission.release

    def has_room(self) -> bool:
        """Whether another connection may be opened, if only to be refused.

        Twice as many connections as admitted clients leave room to tell the others why they are
        refused. The last file descriptors are for brokers: ZeroMQ's thread spins if it cannot
        accept a connection.
        """
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = min(
            2 * self._settings.limits.max_connections, allowed - min(SPARE_FILES, allowed // 4)
        )
        return len(self.clients) < room

    def admit(self, transport: Any, source: Source) -> str:
        """Admit a client; returns its address, to be given to ``release`` at its end.

        Args:
            transport: of its connection.
            source: says where it comes from.

        Raises:
            Refused: there are too many connections, or the page may not connect.
        """
        self.check_origin(transport, source)
        return self._admission.admit(peer_of(transport), source)

    def check_origin(self, transport: Any, source: Source) -> None:
        """Refuse a page whose origin may not connect.

        Raises:
            Refused: it may not.
        """
        if not source.origin or self._admission.allows_all():
            return
        is_secure = ISSLTransport.providedBy(transport)
        if not self._admission.allows(peer_of(transport), source, is_secure=is_secure):
            raise OtherOrigin(source.origin)

    def refuse(self, refused: Refused) -> None:
        """Count a refused client, and log it."""
        if isinstance(refused, OtherOrigin):
            self.refused_origins.add(refused.origin, self._seconds())
        self.refused.add(refused.reason, refused)

    def opened(self, connection: Connection) -> None:
        """Note a new connection, whose request has to come in time."""
        self.clients.add(connection)
        self._without_head.put(connection.transport, self._seconds())

    def head_received(self, transport: Any) -> None:
        """Note that the whole head of a request has come from this transport."""
        self._without_head.discard(transport)

    def replaced(self, old: Connection, new: Connection) -> None:
        """Note that a connection goes on with another protocol."""
        self.clients.add(new)
        self.clients.discard(old)

    def lost(self, connection: Connection) -> None:
        """Note that a connection has ended."""
        self._without_head.discard(connection.transport)
        self.clients.discard(connection)
        if not self.clients:
            waiting, self._all_gone = self._all_gone, []
            for deferred in waiting:
                deferred.callback(None)

    def _sweep_steps(self) -> Iterator[None]:
        for transport in self._without_head.pop_due(self._seconds()):
            transport.abortConnection()
            yield

    def close_all(self) -> Deferred[None]:
        """Let all connections end, because the monitor stops; fires when they have."""
        gone: Deferred[None] = Deferred()
        self._all_gone.append(gone)
        for connection in tuple(self.clients):
            connection.leave()
        if not self.clients:
            self._all_gone.remove(gone)
            gone.callback(None)
        return gone

    def abort_all(self) -> None:
        """Cut all connections that are still open."""
        for connection in tuple(self.clients):
            connection.cut()


def peer_of(transport: Any) -> str:
    """The address at the other end of a connection."""
    return getattr(transport.getPeer(), "host", None) or LOCAL
