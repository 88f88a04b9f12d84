"""A service that listens for clients, on sockets of its own or on those that systemd passes."""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger

from recodex_monitor.network.addresses import bound_file, resolve
from recodex_monitor.network.eager import EagerPort, LocalPort
from recodex_monitor.settings.endpoints import Address, Endpoint, SocketFile
from recodex_monitor.settings.schema import LiveSettings

_log = Logger()


class Listener(Service):
    """Listens at one address of the settings while it runs.

    Attributes:
        addresses: where it listens; a port 0 of the settings is replaced by the real one.
    """

    def __init__(
        self,
        address: Endpoint,
        settings: LiveSettings,
        factory: IProtocolFactory,
        reactor: Any,
        inherited: Iterable[socket.socket] = (),
        *,
        purpose: str = "browsers",
    ) -> None:
        """Make a service that is not listening yet.

        Args:
            address: where to listen.
            settings: have the backlog and the stall timeout.
            factory: makes the connections' protocols.
            reactor: accepts the connections.
            inherited: listening sockets to take over. Nothing else is bound if one of them has
                the port, or the file, of the address.
            purpose: what the port is for, as errors name it.
        """
        self._purpose = purpose
        self._address = address
        self._inherited = tuple(inherited)
        self._settings = settings
        self._factory = factory
        self._reactor = reactor
        self._ports: list[EagerPort] = []
        self._files: list[SocketFile] = []
        self.addresses: list[Endpoint] = []

    def startService(self) -> None:
        """Listen at all IP addresses of a host name, with the same port.

        Raises:
            OSError: an address cannot be bound, or the host name is unknown.
        """
        for inherited in self._inherited:
            self._listen(_bound_to(inherited), inherited)
        if not self._is_covered():
            self._bind_address()
            if self._inherited:
                _log.warn("systemd's socket unit has another address than websocket_uri")
        super().startService()

    def _is_covered(self) -> bool:
        """Whether the sockets that were taken over include the address of the settings."""
        if isinstance(self._address, SocketFile):
            return str(self._address) in map(str, self.addresses)
        ports = {address.port for address in self.addresses if isinstance(address, Address)}
        return bool(ports) and self._address.port in {0, *ports}

    def _bind_address(self) -> None:
        if isinstance(self._address, SocketFile):
            self._listen(self._address)
            return
        number = self._address.port
        for address in resolve(self._address):
            self._listen(Address(address.host, number))
            number = number or self._ports[-1].getHost().port

    def _listen(self, address: Endpoint, listening: socket.socket | None = None) -> None:
        try:
            if listening is None and isinstance(address, SocketFile):
                listening = bound_file(address)
                self._files.append(address)
            port = self._make_port(address)
            port.take_over(listening) if listening else port.startListening()
        except (CannotListenError, OSError) as error:
            self.stopService()
            reason: Any = getattr(error, "socketError", error)
            text = f"cannot listen for {self._purpose} on {address}: {reason.strerror}"
            raise OSError(reason.errno, text) from None
        self._ports.append(port)
        if isinstance(address, Address):
            address = Address(address.host, port.getHost().port)
        self.addresses.append(address)

    def _make_port(self, address: Endpoint) -> EagerPort:
        backlog, reactor = self._settings.limits.backlog, self._reactor
        if isinstance(address, SocketFile):
            return LocalPort(0, self._factory, backlog, "", reactor)
        port = EagerPort(address.port, self._factory, backlog, address.host, reactor)
        port.stall_timeout = self._settings.limits.stall_timeout
        return port

    def limits_changed(self) -> None:
        """Apply the present limits to the listening sockets; new connections inherit them."""
        for port in self._ports:
            port.stall_timeout = self._settings.limits.stall_timeout
            port.set_options(port.socket)
            port.socket.listen(self._settings.limits.backlog)

    def stopService(self) -> defer.Deferred[Any]:
        """Accept no more connections; those that are open stay open."""
        super().stopService()
        ports, self._ports = self._ports, []
        files, self._files = self._files, []
        for file in files:
            with suppress(OSError):
                os.unlink(file.path)
        return defer.gatherResults([defer.maybeDeferred(port.stopListening) for port in ports])


def _bound_to(listening: socket.socket) -> Endpoint:
    name = listening.getsockname()
    return SocketFile(name, "unix") if isinstance(name, str) else Address(*name[:2])
