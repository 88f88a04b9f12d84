"""Readers: each makes a value of one YAML node, or says what is wrong with it."""

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import yaml

from recodex_monitor.settings.endpoints import Address, Endpoint, Network, SocketFile, parsed_ip

LEVELS = ("debug", "info", "warning", "error", "critical")
"""The log levels, by Python's names, from the one that logs most to the one that logs least."""

OTHER_LEVELS = {
    "trace": "debug",
    "notice": "info",
    "warn": "warning",
    "err": "error",
    "alert": "critical",
    "emerg": "critical",
}
"""The broker's names for them; a deployment may set one variable for both programs."""

FORMATS = ("text", "json")
"""The formats of the log."""

OWNERS = ("auto", "never")
"""Whether a node of a cluster may become its owner."""


class Mistake(Exception):
    """What is wrong with a value, and what to write instead."""


Reader = Callable[[yaml.Node], Any]
"""Makes a value of a node, or raises Mistake."""
MAX_SOCKET_PATH = 107
"""Bytes of the path of a Unix socket, at most, on Linux."""

_ORIGIN = re.compile(
    r"\*|null|file://|"  # browsers send one of the last two for pages from local files
    r"(?!(?:wss?|ftp):)[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9*._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?"
)
_LINK = re.compile(r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?([/?#][!-\[\]-~]*)?")
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


def _scalar(node: yaml.Node) -> Any:
    """The value of a YAML scalar; None for any other node."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except Exception:
        return None  # PyYAML raises all kinds of errors for a tag that does not fit its value


def shown_node(node: yaml.Node) -> str:
    """A node as it is shown in an error."""
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value[:60])
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def text(node: yaml.Node) -> str:
    """Read a string that is not empty."""
    if (value := _scalar(node)) == "":
        raise Mistake("is empty; leave it out for the default")
    if not isinstance(value, str) or re.search("[\0\ud800-\udfff]", value):
        raise Mistake(f"{shown_node(node)} is not a string; write it in quotes")
    return value


def link(node: yaml.Node) -> str:
    """Read the address of a web page."""
    if not _LINK.fullmatch(value := text(node)):
        raise Mistake(f"{value!r} is not the address of a page; write it as https://HOST/")
    return value


def flag(node: yaml.Node) -> bool:
    """Read true or false."""
    value = _scalar(node)
    if not isinstance(value, bool):
        raise Mistake(f"{shown_node(node)} is neither true nor false")
    return value


def level(node: yaml.Node) -> str | None:
    """Read the name of a log level, ours or the broker's; None, for the default, if it is empty."""
    value = _scalar(node)
    is_null = node.tag == "tag:yaml.org,2002:null"
    if is_null or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str) and value.lower() in OTHER_LEVELS:
        return OTHER_LEVELS[value.lower()]
    named: str = one_of("level", LEVELS)(node)
    return named


def one_of(kind: str, known: Sequence[str]) -> Reader:
    """Make a reader of one of these words, in upper or lower case.

    Args:
        kind: what the words are, for the error.
        known: the words, in lower case.
    """

    def read(node: yaml.Node) -> str:
        value = _scalar(node)
        if not isinstance(value, str) or value.lower() not in known:
            raise Mistake(f"{shown_node(node)} is not a {kind}; use one of {', '.join(known)}")
        return value.lower()

    return read


def whole(low: int, high: int, *, or_text: bool = False) -> Reader:
    """Make a reader of whole numbers from ``low`` to ``high``.

    Args:
        low: the lowest.
        high: the highest.
        or_text: whether the digits may be in quotes.
    """

    def read(node: yaml.Node) -> int:
        value = _number(node, or_text=or_text)
        if type(value) is not int or not low <= value <= high:
            raise Mistake(f"{shown_node(node)} is not a whole number from {low} to {high}")
        return value

    return read


def seconds(low: float, high: int) -> Reader:
    """Make a reader of seconds, with or without a fraction, from ``low`` to ``high``."""

    def read(node: yaml.Node) -> float:
        value = _number(node)
        if type(value) not in (int, float) or not low <= value <= high:
            raise Mistake(f"{shown_node(node)} is not a number of seconds from {low} to {high}")
        return cast(float, value)

    return read


def _number(node: yaml.Node, *, or_text: bool = False) -> Any:
    """The value of a number, or of a string of digits; a form that misleads is a mistake."""
    value = _scalar(node)
    if isinstance(node, yaml.ScalarNode) and (node.style is None or or_text or type(value) is int):
        _require_plain(node.value.strip(), value)
    if or_text and isinstance(value, str) and re.fullmatch(r" *\+?[0-9]{1,20} *", value):
        return int(value)
    return value


def _require_plain(written: str, value: Any) -> None:
    """Refuse what YAML 1.1 reads as another number than people do."""
    digits = written.lstrip("+-")
    if re.fullmatch("0[0-9_]+", digits):
        read = f"as the octal number {value}" if isinstance(value, int) else "not as a number"
        plain = digits.lstrip("0_") or "0"
        raise Mistake(
            f"{written[:60]!r} has a leading zero, YAML reads it {read}; write {plain[:60]}"
        )
    if re.fullmatch("0[oO][0-7_]+", digits):
        raise Mistake(f"{written[:60]!r} is not a number in YAML 1.1; write a decimal number")
    if ":" in digits and isinstance(value, int | float):
        raise Mistake(f"YAML reads {written[:60]!r} as {value}, to the base 60; write {value}")


def networks(node: yaml.Node) -> tuple[Network, ...]:
    """Read a list of networks."""
    return tuple(_network(item) for item in _list(node))


def _network(node: yaml.Node) -> Network:
    value = _scalar(node)
    text = value if isinstance(value, str) else ""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise Mistake(f"{shown_node(node)} is not a network; write {_meant(text)}") from None


def _meant(text: str) -> str:
    """What to write for a network with host bits set: the network, or the single address."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return '"10.1.0.0/16"'
    return f'"{network}", or "{text.partition("/")[0]}" for the one address'


def origins(node: yaml.Node) -> tuple[str, ...]:
    """Read a list of origins of web pages, in which ``*`` may stand for any characters.

    Applications have schemes of their own; ``null`` is the origin of pages without one.
    """
    return tuple(_origin(item) for item in _list(node))


def _origin(node: yaml.Node) -> str:
    # An unquoted null can only mean the origin of that name.
    value = node.value if isinstance(node, yaml.ScalarNode) and node.value == "null" else None
    value = value or _scalar(node)
    if isinstance(value, str) and _ORIGIN.fullmatch(value):
        return value
    example = (
        '"https://recodex.example.org", "https://*.example.org", "capacitor://localhost", "null" '
        'for pages without an origin, or "*" for any'
    )
    raise Mistake(f"{shown_node(node)} is not an origin; write {example}")


def _list(node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        raise Mistake(f"{shown_node(node)} is not a list; write it in brackets")
    return cast(list[yaml.Node], node.value)


def _address(node: yaml.Node) -> Address:
    if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
        raise Mistake(f'{shown_node(node)} is not an address; write ["127.0.0.1", 4567]')
    host, port = node.value
    # The original took an empty host for all addresses.
    name = "*" if isinstance(host, yaml.ScalarNode) and _scalar(host) == "" else _host(host)
    return Address(name, _port(port))


def endpoint(scheme: str) -> Reader:
    """Make a reader of addresses, and of Unix sockets with this scheme before their path."""

    def read(node: yaml.Node) -> Endpoint:
        value = _scalar(node)
        if not isinstance(value, str) or not value.startswith(f"{scheme}:"):
            return _address(node)
        # As in a URL, there may be three slashes.
        path = re.sub("^//+", "/", value.removeprefix(f"{scheme}:"))
        if not path.startswith("/") or "\0" in path or len(os.fsencode(path)) > MAX_SOCKET_PATH:
            limit = f"{MAX_SOCKET_PATH} bytes at most"
            raise Mistake(
                f'{shown_node(node)} is not an absolute path; write "{scheme}:/PATH", {limit}'
            )
        return SocketFile(path, scheme)

    return read


def word(node: yaml.Node) -> str:
    """Read a name of ASCII letters, digits, dots, hyphens and underscores."""
    value = _scalar(node)
    if isinstance(value, str) and re.fullmatch("[A-Za-z0-9._-]{1,64}", value):
        return value
    raise Mistake(
        f"{shown_node(node)} is not a name; use 1 to 64 letters, digits, dots, hyphens, underscores"
    )


def token(node: yaml.Node) -> str:
    """Read a token; the error does not show the value, which may be a secret."""
    value = _scalar(node)
    if isinstance(value, str) and re.fullmatch("[!-~]{16,512}", value):
        return value
    raise Mistake("is not a token; write 16 to 512 ASCII letters, digits and signs in quotes")


def hosts(node: yaml.Node) -> tuple[str, ...]:
    """Read a list of hosts."""
    return tuple(_host(item) for item in _list(node))


def _host(node: yaml.Node) -> str:
    value = _scalar(node)
    if isinstance(value, str) and (value == "*" or parsed_ip(value) or is_name(value)):
        return value
    raise Mistake(
        f'{shown_node(node)} is not a host; use an IP address, a host name, or "*" for all'
    )


def is_name(text: str) -> bool:
    """Whether a text can be the name of a host."""
    # A name that is all numbers is a mistyped IP address.
    return bool(_HOST.fullmatch(text)) and not text.replace(".", "").isdigit()


def _port(node: yaml.Node) -> int:
    value = _number(node, or_text=True)
    if type(value) is not int or not 0 <= value <= 65535:
        raise Mistake(f"{shown_node(node)} is not a port; use a number from 0 to 65535")
    return value
