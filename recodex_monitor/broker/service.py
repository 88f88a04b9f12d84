"""Listens for the broker while the monitor runs."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import zmq
from twisted.application.service import Service

from recodex_monitor.broker.draining import drain
from recodex_monitor.broker.peers import Peers
from recodex_monitor.broker.sockets import BrokerConnection, Publish, Sockets
from recodex_monitor.broker.zap import Guard
from recodex_monitor.network.addresses import resolve
from recodex_monitor.settings.endpoints import Address, Endpoint, SocketFile
from recodex_monitor.settings.schema import Limits


class BrokerService(Service):
    """Binds the broker's socket while it runs."""

    def __init__(
        self,
        address: Endpoint,
        limits: Limits,
        publish: Publish,
        on_exit: Callable[[], None] | None = None,
        now: Callable[[], float] = time.monotonic,
        guard: Guard | None = None,
    ) -> None:
        """Make a service that is not listening yet; for the arguments see BrokerConnection."""
        self._address = address
        self._limits = limits
        self._publish = publish
        self._on_exit = on_exit
        self._guard = guard
        self._sockets: Sockets | None = None
        self.peers = Peers(now)
        self.dropped: Mapping[str, int] = {}
        """Messages that could not be read, by reason."""
        self.addresses: list[Endpoint] = []

    def startService(self) -> None:
        """Bind the socket.

        Raises:
            OSError: the address cannot be bound, or its name is not known.
        """
        address = self._address
        addresses = [address] if isinstance(address, SocketFile) else resolve(address)
        self._sockets = sockets = Sockets(
            self._limits, self._publish, self._on_exit, self._guard, self.peers
        )
        self.dropped = sockets.connection.dropped.counts
        try:
            self.addresses = _bind_all(sockets.connection, addresses)
        except OSError:
            self._close()
            raise
        super().startService()

    def stopService(self) -> None:
        """Take in what ZeroMQ still holds for us, then close the socket."""
        super().stopService()
        if self._sockets is not None:
            drain(self._sockets.connection, self._ended)
        self._close()

    def publish_by(self, publish: Publish) -> None:
        """Have messages published by another function from now on."""
        self._publish = publish
        if self._sockets is not None:
            self._sockets.connection.publish = publish

    def _ended(self) -> int:
        if self._sockets is not None:
            self._sockets.read_events()
        return self.peers.count - self.peers.connected

    def _close(self) -> None:
        if self._sockets is not None:
            self._sockets.close()
        self._sockets = None
        # ZeroMQ leaves its files behind.
        for file in self.addresses:
            if isinstance(file, SocketFile):
                with suppress(OSError):
                    os.unlink(file.path)
        self.addresses = []


def _bind_all(connection: BrokerConnection, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Bind to all endpoints, all at the same port where the system picks it."""
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
