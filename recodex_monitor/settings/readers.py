"""The values of settings: what may stand at a key, and what is wrong with anything else."""

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import yaml

from recodex_monitor.settings.endpoints import Address, Endpoint, Network, SocketFile, parsed_ip

LEVELS = ("debug", "info", "warning", "error", "critical")
"""The log levels, in Python's names, from the most to the least."""

FORMATS = ("text", "json")
"""How an event is written to the log."""


class Mistake(Exception):
    """What is wrong with one value, and what would be right."""


Reader = Callable[[yaml.Node], Any]
"""Reads one value, or raises Mistake."""
_MAX_SOCKET_PATH = 107  # Linux's limit
_ORIGIN = re.compile(r"https?://([A-Za-z0-9*._-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?")
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


def _scalar(node: yaml.Node) -> Any:
    """The value of a YAML scalar; None for anything that is not one."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except Exception:
        return None  # a tag that does not fit its value makes PyYAML raise anything


def shown_node(node: yaml.Node) -> str:
    """What stands there, for an error's text."""
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value[:60])
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def text(node: yaml.Node) -> str:
    """Read a text that is not empty."""
    value = _scalar(node)
    if not isinstance(value, str) or not value or re.search("[\0\ud800-\udfff]", value):
        raise Mistake(f"{shown_node(node)} is not a text, write it in quotes")
    return value


def flag(node: yaml.Node) -> bool:
    """Read true or false."""
    value = _scalar(node)
    if not isinstance(value, bool):
        raise Mistake(f"{shown_node(node)} is neither true nor false")
    return value


def one_of(kind: str, known: Sequence[str]) -> Reader:
    """Make a reader of one of these words, in any case."""

    def read(node: yaml.Node) -> str:
        value = _scalar(node)
        if not isinstance(value, str) or value.lower() not in known:
            raise Mistake(f"{shown_node(node)} is not a {kind}, use one of {', '.join(known)}")
        return value.lower()

    return read


def whole(low: int, high: int) -> Reader:
    """Make a reader of whole numbers in this range."""

    def read(node: yaml.Node) -> int:
        value = _scalar(node)
        if type(value) is not int or not low <= value <= high:
            raise Mistake(f"{shown_node(node)} is not a whole number from {low} to {high}")
        return value

    return read


def seconds(low: int, high: int) -> Reader:
    """Make a reader of seconds in this range."""

    def read(node: yaml.Node) -> float:
        value = _scalar(node)
        if type(value) not in (int, float) or not low <= value <= high:
            raise Mistake(f"{shown_node(node)} is not a number of seconds from {low} to {high}")
        return cast(float, value)

    return read


def networks(node: yaml.Node) -> tuple[Network, ...]:
    """Read a list of networks."""
    return tuple(_network(item) for item in _list(node))


def _network(node: yaml.Node) -> Network:
    value = _scalar(node)
    try:
        return ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError:
        raise Mistake(f'{shown_node(node)} is not a network, write "10.1.0.0/16"') from None


def origins(node: yaml.Node) -> tuple[str, ...]:
    """Read a list of origins of pages."""
    return tuple(_origin(item) for item in _list(node))


def _origin(node: yaml.Node) -> str:
    value = _scalar(node)
    if isinstance(value, str) and (value == "*" or _ORIGIN.fullmatch(value)):
        return value
    example = '"https://recodex.example.org", "https://*.example.org", or "*" for any'
    raise Mistake(f"{shown_node(node)} is not an origin, write {example}")


def _list(node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        raise Mistake(f"{shown_node(node)} is not a list, write it in brackets")
    return cast(list[yaml.Node], node.value)


def _address(node: yaml.Node) -> Address:
    if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
        raise Mistake(f'{shown_node(node)} is not an address, write ["127.0.0.1", 4567]')
    return Address(_host(node.value[0]), _port(node.value[1]))


def endpoint(scheme: str) -> Reader:
    """Make a reader of addresses, also of those of Unix sockets, behind this scheme."""

    def read(node: yaml.Node) -> Endpoint:
        value = _scalar(node)
        if not isinstance(value, str) or not value.startswith(f"{scheme}:"):
            return _address(node)
        # Others write three slashes, as in a URL.
        path = re.sub("^//+", "/", value.removeprefix(f"{scheme}:"))
        if not path.startswith("/") or "\0" in path or len(os.fsencode(path)) > _MAX_SOCKET_PATH:
            limit = f"{_MAX_SOCKET_PATH} bytes at most"
            raise Mistake(
                f'{shown_node(node)} is not an absolute path, write "{scheme}:/PATH", {limit}'
            )
        return SocketFile(path, scheme)

    return read


def token(node: yaml.Node) -> str:
    """Read a token; what was written instead is not told."""
    value = _scalar(node)
    if isinstance(value, str) and re.fullmatch("[!-~]{16,512}", value):
        return value
    raise Mistake("is not a token, write 16 or more ASCII letters, digits and signs in quotes")


def hosts(node: yaml.Node) -> tuple[str, ...]:
    """Read a list of hosts."""
    return tuple(_host(item) for item in _list(node))


def _host(node: yaml.Node) -> str:
    value = _scalar(node)
    if isinstance(value, str) and (value == "*" or parsed_ip(value) or _is_name(value)):
        return value
    raise Mistake(
        f'{shown_node(node)} is not a host, use an IP address, a host name, or "*" for all'
    )


def _is_name(text: str) -> bool:
    # A name of numbers alone is an IP address that somebody has mistyped.
    return bool(_HOST.fullmatch(text)) and not text.replace(".", "").isdigit()


def _port(node: yaml.Node) -> int:
    value = _scalar(node)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if type(value) is not int or not 0 <= value <= 65535:
        raise Mistake(f"{shown_node(node)} is not a port, use a number from 0 to 65535")
    return value
