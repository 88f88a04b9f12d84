"""Where a request comes from: what it says itself, and what proxies have added to it.

Proxies name the clients behind them in X-Forwarded-For, or in the standard header Forwarded
(RFC 7239). Each proxy adds to the right, so only the right-most entries come from a proxy that is
known: everything is read from the right, and what a client has sent itself spoils nothing there.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from recodex_monitor.settings.endpoints import parsed_ip

_REVERSED = re.compile(r'[^",]*(?:(?:"[^"]*"|")[^",]*)*')
"""An element of a list that is read backwards; a comma in quotes does not end it."""

_PAIR = re.compile(r'(?:^|;)[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(?:"([^"]*)"|([^";]*))')
_PORT = r":(?:[0-9]{0,5}|_[A-Za-z0-9._-]+)"
_BRACKETED = re.compile(rf"\[([^\[\]]+)\](?:{_PORT})?")
_WITH_PORT = re.compile(rf"(.+){_PORT}")
_PORT_AT_END = re.compile(r":[0-9]{0,5}\Z")
_SECURE = {"https", "wss"}
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Source(NamedTuple):
    """The headers that say where a request comes from; a missing one is empty.

    The values of a header that came several times are joined by commas.
    """

    host: str = ""
    origin: str = ""
    x_forwarded_for: str = ""
    x_forwarded_host: str = ""
    x_forwarded_proto: str = ""
    x_forwarded_port: str = ""
    forwarded: str = ""


_NAMES = [name.replace("_", "-").encode() for name in Source._fields]
_BY_PROXIES = frozenset(_NAMES[2:])


def source_of(headers: Mapping[bytes, bytes]) -> Source:
    """Read the headers, which are given by their names in lower case."""
    if _BY_PROXIES.isdisjoint(headers):
        host, origin = headers.get(b"host", b""), headers.get(b"origin", b"")
        return Source(host.decode("latin-1"), origin.decode("latin-1"))
    return Source(*[headers[name].decode("latin-1") if name in headers else "" for name in _NAMES])


def source_of_request(request: Any) -> Source:
    """Read the headers of a ``twisted.web.http.Request``."""
    values = request.requestHeaders.getRawHeaders
    return source_of({name: b",".join(found) for name in _NAMES if (found := values(name))})


def canonical(address: str) -> str:
    """An address in the one form in which it is counted and logged; other text as it is."""
    return str(parsed_ip(address) or address)


def client_addresses(source: Source) -> Iterator[str | None]:
    """The addresses behind the peer, the nearest first; None for one that the proxy hides.

    Forwarded counts only without X-Forwarded-For: a proxy writes one of them, and passes on what
    the client has written into the other.
    """
    if source.x_forwarded_for.strip(" \t,"):
        yield from map(address_of, _elements(source.x_forwarded_for))
    else:
        for pairs in map(_pairs, _elements(source.forwarded)):
            yield address_of(pairs.get("for", ""))


def address_of(node: str) -> str | None:
    """The address that a proxy has written, in any of their forms; None if it is not one.

    It may have a port, quotes, and, if it is IPv6, brackets.
    """
    node = node.strip(" \t")
    if parsed := parsed_ip(node):
        return str(parsed)
    if len(node) > 1 and node[0] == node[-1] == '"':
        node = node[1:-1].strip(" \t")
    bracketed = _BRACKETED.fullmatch(node)
    parsed = parsed_ip(bracketed[1] if bracketed else node)
    if parsed is None and not bracketed and (with_port := _WITH_PORT.fullmatch(node)):
        parsed = parsed_ip(with_port[1])
    return None if parsed is None else str(parsed)


def is_own_origin(source: Source, *, is_secure: bool, is_proxied: bool) -> bool:
    """Whether a request comes from a page of the host that it asks.

    Where TLS is known to have been used the page must have come by TLS too. It is often not known:
    a proxy that ends TLS may not say so. Where a trusted proxy tells the host without a port, and
    does not tell the port either, any port of that host will do.

    Args:
        source: has the origin.
        is_secure: whether the connection uses TLS.
        is_proxied: whether the peer is a trusted proxy, which may name the host and the scheme.
    """
    scheme, _, authority = source.origin.lower().partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if port is None or not authority:
        return False
    hosts, schemes = [source.host], set[str]()
    if is_proxied:
        pairs = [*map(_pairs, _elements(source.forwarded))]
        hosts += [*_elements(source.x_forwarded_host), *(one.get("host", "") for one in pairs)]
        schemes |= {*_elements(source.x_forwarded_proto), *(one.get("proto", "") for one in pairs)}
        hosts += _with_ports(hosts, source.x_forwarded_port)
    if scheme == "http" and (is_secure or {one.lower() for one in schemes} & _SECURE):
        return False
    authority = authority.removesuffix(port)
    names = {host.lower().removesuffix(port) for host in hosts}
    return authority in names or (is_proxied and _without_port(authority) in _portless(hosts))


def _portless(hosts: list[str]) -> set[str]:
    """The hosts whose ports a proxy does not tell: many leave it out, as nginx does with $host."""
    lower = [host.lower() for host in hosts]
    told = {_without_port(host) for host in lower if host != _without_port(host)}
    return {*lower} - told - {""}


def _without_port(host: str) -> str:
    return _PORT_AT_END.sub("", host)


def _with_ports(hosts: list[str], told: str) -> list[str]:
    """The hosts with each of the ports that X-Forwarded-Port tells, in place of their own."""
    ports = [port for port in _elements(told) if port.isdecimal()]
    return [f"{_without_port(host)}:{port}" for host in hosts if host for port in ports]


def _elements(value: str) -> Iterator[str]:
    """The elements of a comma-separated list that are not empty, from the last to the first."""
    if '"' not in value:
        yield from filter(None, (one.strip(" \t") for one in reversed(value.split(","))))
        return
    for element in _REVERSED.findall(value[::-1]):
        if stripped := element[::-1].strip(" \t"):
            yield stripped


def _pairs(element: str) -> dict[str, str]:
    """The values of an element of Forwarded by name in lower case."""
    return {
        name.lower(): (quoted or plain).strip(" \t")
        for name, quoted, plain in _PAIR.findall(element)
    }
