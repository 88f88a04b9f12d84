"""The PROXY protocol: the header by which a load balancer reports its client's address.

With ``websocket_proxy_protocol`` trusted proxies must send it, before TLS if there is TLS. From
then on the connection has the client's address. The connections of all others are served as
without it. The protocol: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ServerFactory
from twisted.protocols.haproxy._exceptions import InvalidProxyHeader
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser

from recodex_monitor.clients.admission import LOCAL, Refused
from recodex_monitor.clients.connections import Connections
from recodex_monitor.clients.first_bytes import (
    PROXY_V1,
    PROXY_V2,
    BeginningConnection,
    refusal_without_proxy,
)
from recodex_monitor.settings.endpoints import parsed_ip
from recodex_monitor.settings.schema import LiveSettings

_V1_UNKNOWN = (b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r\n")
_V1_LENGTH = 107
"""Bytes of a header of version 1, at most, with its end of line."""

_V2_FIXED = 16
"""Bytes of a header of version 2 before the part whose length they give."""

_BAD_HEADER = Refused(400, "bad PROXY header", "The header of the PROXY protocol is not valid.")


def header_length(received: bytes) -> int | None:
    """Bytes of the header that a connection begins with; None if more bytes are needed to say.

    Raises:
        ValueError: it does not begin with a header, or with one of version 1 that is too long.
    """
    if received.startswith(PROXY_V1):
        end = received.find(b"\r\n", 0, _V1_LENGTH)
        if end < 0 and len(received) >= _V1_LENGTH:
            raise ValueError("too long")
        return end + 2 if end >= 0 else None
    if received.startswith(PROXY_V2):
        length = int.from_bytes(received[14:_V2_FIXED], "big")
        return _V2_FIXED + length if len(received) >= _V2_FIXED else None
    if PROXY_V1.startswith(received) or PROXY_V2.startswith(received):
        return None
    raise ValueError("no header")


def client_address(header: bytes) -> Any:
    """The client's address in a whole header, as Twisted has addresses.

    None if the header has no address: the proxy itself is the client (``LOCAL``), or it does not
    know (``UNKNOWN``).

    Raises:
        ValueError: the header is not valid.
    """
    if header.startswith(_V1_UNKNOWN):
        return None  # Twisted's parser takes it only with something behind it.
    try:
        if header.startswith(PROXY_V1):
            source = V1Parser.parse(header[:-2]).source
        else:
            source = V2Parser.parse(header).source
    except (InvalidProxyHeader, LookupError) as error:
        raise ValueError("not valid") from error
    host = getattr(source, "host", None)
    if host is None:
        return None
    if parsed_ip(host) is None:
        raise ValueError("not an address")
    return source


class ProxyProtocolFactory(ServerFactory):
    """Makes the connections of another factory, after the header of the PROXY protocol."""

    noisy = False

    def __init__(
        self, factory: IProtocolFactory, connections: Connections, settings: LiveSettings
    ) -> None:
        """Make a factory without connections.

        Args:
            factory: makes the protocols that follow the header.
            connections: knows all connections.
            settings: have the trusted proxies.
        """
        self.connections = connections
        self.settings = settings
        self._factory = factory

    def buildProtocol(self, addr: Any) -> Any:
        """Called by Twisted for a new connection; None closes it at once."""
        protocol = self._factory.buildProtocol(addr)
        host = getattr(addr, "host", None) or LOCAL
        if protocol is None or not self.connections.is_trusted(host):
            return protocol
        return HeaderReader(self, protocol)


class HeaderReader(BeginningConnection):
    """A connection of a trusted proxy before its header."""

    def __init__(self, factory: ProxyProtocolFactory, following: Any) -> None:
        """Wait for the header.

        Args:
            factory: has the connections and the settings.
            following: the protocol that gets the connection then.
        """
        super().__init__(factory.connections)
        self._settings = factory.settings
        self._following = following

    def connectionMade(self) -> None:
        """Called by Twisted when the proxy has connected."""
        self._connections.opened(self)

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what the proxy has sent."""
        received = self._received = self._received + data
        limit = self._settings.limits.max_handshake_size
        try:
            length = header_length(received)
        except ValueError:
            is_header = received.startswith(PROXY_V1)
            peer = getattr(self.transport.getPeer(), "host", None) or LOCAL
            self.refuse(_BAD_HEADER if is_header else refusal_without_proxy(received, peer))
            return
        if length is not None and length > limit:
            self.refuse(_BAD_HEADER)
        elif length is not None and len(received) >= length:
            self._header_received(received[:length], received[length:])

    def _header_received(self, header: bytes, rest: bytes) -> None:
        try:
            self.transport.client_address = client_address(header)
        except ValueError:
            self.refuse(_BAD_HEADER)
            return
        transport, connections = self.transport, self._connections
        connections.head_received(transport)
        transport.protocol = self._following
        self._following.makeConnection(transport)
        connections.clients.discard(self)
        if rest and not transport.disconnecting:
            transport.protocol.dataReceived(rest)
