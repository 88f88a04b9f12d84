"""Ways by which browsers reach the monitor: the public address, and the monitor's own listener."""

import socket
import ssl
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from urllib.parse import SplitResult, quote, urlsplit

from recodex_monitor.settings.endpoints import Address, Endpoint, SocketFile
from recodex_monitor.settings.schema import Settings, Tls

TIMEOUT = 5.0
"""Seconds to wait for a connection, or for an answer that should come at once."""

ORDINARY = "127.0.0.1"
OWN_LOOPBACK = "127.77.0.1"
"""The doctor's own address towards a public address on this machine: no proxy connects from it."""

_PORTS = {"ws": 80, "wss": 443}
_AGENT = "Mozilla/5.0 (compatible; recodex-monitor doctor)"


@dataclass(frozen=True)
class Way:
    """An address at which browsers, or the proxy in front of the monitor, connect.

    Attributes:
        host: a name or an IP address; for a Unix socket, ``localhost``.
        port: of TCP.
        exact: the path, as WebSocket uses it.
        tls: how to speak TLS; None for plain connections.
        origin: of the page that is played; empty for none.
        file: the path of a Unix socket; empty for TCP.
        greeting: sent before all else.
        token: a follower's; empty for none.
        is_public: whether it is the public address.
    """

    host: str
    port: int = 0
    exact: str = ""
    tls: ssl.SSLContext | None = None
    origin: str = ""
    file: str = ""
    greeting: bytes = b""
    token: str = ""
    is_public: bool = False

    def __str__(self) -> str:
        """The address for people."""
        if self.file:
            return f"unix:{self.file}"
        return f"{'wss' if self.tls else 'ws'}://{self.authority}{self.exact or '/'}"

    @property
    def prefix(self) -> str:
        """The path without a slash at its end, below which there is all else."""
        return self.exact.rstrip("/")

    @property
    def authority(self) -> str:
        """The host and, where it is not the usual one, the port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = not self.port or self.port == _PORTS["wss" if self.tls else "ws"]
        return host if usual else f"{host}:{self.port}"

    def url(self, **query: str) -> str:
        """The address for WebSocket."""
        scheme = "wss" if self.tls else "ws"
        return f"{scheme}://{self.authority}{self.exact or '/'}{self._query(query)}"

    def path(self, root: str, channel_id: str, **query: str) -> str:
        """The path of a channel below one of the monitor's folders."""
        return f"{self.prefix}/{root}/{quote(channel_id, '')}{self._query(query)}"

    def _query(self, query: dict[str, str]) -> str:
        query = {**query, **({"token": self.token} if self.token else {})}
        text = "&".join(f"{key}={quote(value)}" for key, value in query.items())
        return f"?{text}" if text else ""

    def connect(self) -> socket.socket:
        """A connection, without TLS yet.

        Raises:
            OSError: there is none.
        """
        if self.file:
            link = socket.socket(socket.AF_UNIX)
            link.settimeout(TIMEOUT)
            link.connect(self.file)
        else:
            own = (OWN_LOOPBACK, 0) if self._is_here() else None
            link = socket.create_connection((self.host, self.port), TIMEOUT, own)
        link.sendall(self.greeting)
        return link

    def _is_here(self) -> bool:
        """Whether a public address is this machine's loopback."""
        if not self.is_public:
            return False
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return all(one[0] == socket.AF_INET and str(one[4][0]) == ORDINARY for one in found)

    def secured(self, link: socket.socket) -> socket.socket:
        """A connection with TLS, where the way has it.

        Raises:
            OSError: the certificate is not accepted, or no TLS is spoken there.
        """
        if self.tls is None:
            return link
        return self.tls.wrap_socket(link, server_hostname=self.host)

    def request(self, target: str, accept: str = "*/*") -> HTTPConnection:
        """A connection on which a browser's request was sent.

        Raises:
            OSError: there is no connection.
        """
        connection = HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        connection.sock = self.secured(self.connect())
        sent = {"Host": self.authority, "User-Agent": _AGENT, "Accept": accept}
        headers = sent | {"Accept-Encoding": "gzip"} | self.headers()
        connection.request("GET", target, headers=headers)
        return connection

    def headers(self) -> dict[str, str]:
        """The headers that a page adds."""
        return {"Origin": self.origin} if self.origin else {}

    def unverified(self) -> "Way":
        """The same way for a client that accepts every certificate."""
        return self if self.tls is None else replace(self, tls=trusting())


def trusting() -> ssl.SSLContext:
    """TLS that accepts every certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def public_way(url: str, origin: str = "", token: str = "") -> Way:
    """The way of a public address.

    Args:
        url: as the API has it, ``ws://HOST/PATH`` or ``wss://HOST/PATH``.
        origin: of the web application; by default that of the address.
        token: a follower's.

    Raises:
        ValueError: it is no such address, or the origin is none.
    """
    parts = _split(url)
    tls = None
    if parts.scheme == "wss":
        tls = ssl.create_default_context()
        tls.set_alpn_protocols(["http/1.1"])
    way = Way(
        parts.hostname or "",
        parts.port or _PORTS[parts.scheme],
        parts.path,
        tls,
        token=token,
        is_public=True,
    )
    if origin and not _is_origin(origin):
        raise ValueError(f"{origin!r} is no origin of pages; write https://HOST")
    own = f"{'https' if tls else 'http'}://{way.authority}"
    return replace(way, origin=origin.rstrip("/") or own)


def _split(url: str) -> SplitResult:
    """The parts of a public address; raises ValueError if it is none."""
    wrong = ValueError(f"{url!r} is no public address; write wss://HOST/ws or ws://HOST/ws")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username or port == 0:
        raise wrong
    return parts


def direct_way(settings: Settings, token: str = "") -> Way:
    """The way to the monitor's own listener."""
    endpoint: Endpoint = settings.websocket_uri
    tls = trusting() if settings.websocket_tls != Tls() else None
    # Announces a connection of a balancer's own, made for no client.
    greeting = b"PROXY UNKNOWN\r\n" if settings.websocket_proxy_protocol else b""
    if isinstance(endpoint, SocketFile):
        return Way("localhost", file=endpoint.path, tls=tls, greeting=greeting, token=token)
    return Way(*reachable(endpoint), tls=tls, greeting=greeting, token=token)


def reachable(address: Address) -> tuple[str, int]:
    """Host and port at which this machine reaches a listener, which may listen everywhere."""
    anywhere = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
    return anywhere.get(address.host, address.host), address.port


def _is_origin(text: str) -> bool:
    scheme, separator, host = text.rstrip("/").partition("://")
    is_whole = bool(scheme and separator and host) and not set(host) & set("/?# ")
    return text == "null" or is_whole
