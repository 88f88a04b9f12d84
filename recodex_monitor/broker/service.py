"""The service that listens for the broker while the monitor runs."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import zmq
from twisted.application.service import Service

from recodex_monitor.broker.draining import drain
from recodex_monitor.broker.liveness import notice_vanished
from recodex_monitor.broker.peers import Peers
from recodex_monitor.broker.sockets import BrokerConnection, Sockets
from recodex_monitor.broker.zap import Guard
from recodex_monitor.channels.hub import Publish
from recodex_monitor.network.addresses import resolve
from recodex_monitor.settings.endpoints import Address, Endpoint, SocketFile
from recodex_monitor.settings.schema import LiveSettings, Zeromq


class BrokerService(Service):
    """Binds the broker's socket while it runs.

    Attributes:
        peers: who is connected.
        dropped: malformed messages so far, by reason; begins anew with each start.
        addresses: where it listens; empty while it does not run.
        peer_timeout: seconds until a broker whose machine has vanished is noticed; applied by the
            next start.
    """

    def __init__(
        self,
        address: Endpoint,
        settings: LiveSettings,
        publish: Publish,
        on_exit: Callable[[], None] | None = None,
        now: Callable[[], float] = time.monotonic,
        guard: Guard | None = None,
    ) -> None:
        """Make a service that is not listening yet.

        Args:
            address: where to listen; port 0 lets the system pick one.
            settings: see BrokerConnection, as for ``publish`` and ``on_exit``.
            publish: called with the messages of a turn.
            on_exit: called when the broker asks the monitor to exit; None where it may not.
            now: the time in seconds, for ``peers``.
            guard: decides who may be a broker; None where everybody may.
        """
        self._address = address
        self._settings = settings
        self._publish = publish
        self._on_exit = on_exit
        self._guard = guard
        self.peer_timeout: float = Zeromq.peer_timeout
        self._sockets: Sockets | None = None
        self.peers = Peers(now)
        self.dropped: Mapping[str, int] = {}
        self.addresses: list[Endpoint] = []

    def startService(self) -> None:
        """Bind the socket.

        Raises:
            OSError: the address cannot be bound, its name cannot be resolved, or there is no file
                descriptor left for a socket.
        """
        address = self._address
        addresses = [address] if isinstance(address, SocketFile) else resolve(address)
        self._sockets = sockets = self._make_sockets()
        notice_vanished(sockets.connection.socket, self.peer_timeout)
        self.dropped = sockets.connection.dropped.counts
        try:
            self.addresses = _bind_all(sockets.connection, addresses)
        except OSError:
            self._close()
            raise
        super().startService()

    def _make_sockets(self) -> Sockets:
        try:
            return Sockets(self._settings, self._publish, self._on_exit, self._guard, self.peers)
        except zmq.ZMQError as error:
            number = error.errno or 0
            raise OSError(number, f"cannot make a socket: {os.strerror(number)}") from None

    def stopService(self) -> None:
        """Read and publish all that the broker has sent, then close the socket.

        Blocks for about a second at most, see ``draining``.
        """
        super().stopService()
        if self._sockets is not None:
            drain(self._sockets.connection, self._count_ended)
        self._close()

    def publish_by(self, publish: Publish) -> None:
        """Have messages published by another function from now on."""
        self._publish = publish
        if self._sockets is not None:
            self._sockets.connection.publish = publish

    def _count_ended(self) -> int:
        if self._sockets is not None:
            self._sockets.read_events()
        return self.peers.count - self.peers.connected

    def _close(self) -> None:
        if self._sockets is not None:
            self._sockets.close()
        self._sockets = None
        # ZeroMQ leaves its socket files behind.
        for address in self.addresses:
            if isinstance(address, SocketFile):
                with suppress(OSError):
                    os.unlink(address.path)
        self.addresses = []


def _bind_all(connection: BrokerConnection, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Bind to all endpoints, with one port for all where the system picks it.

    Raises:
        OSError: one of them cannot be bound; the text names it.
    """
    bound: list[Endpoint] = []
    picked = 0
    for endpoint in endpoints:
        try:
            if isinstance(endpoint, SocketFile):
                connection.bind_file(endpoint)
            else:
                endpoint = connection.bind(Address(endpoint.host, endpoint.port or picked))
                picked = endpoint.port
        except (zmq.ZMQError, OSError) as error:
            text = f"cannot listen for the broker on {endpoint}: {os.strerror(error.errno or 0)}"
            raise OSError(error.errno, text) from None
        bound.append(endpoint)
    return bound
