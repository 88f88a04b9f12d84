"""Probing: asks the engine's servers whether nodes could use them, and changes nothing there."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import hiredis

from recodex_monitor.relay.connection import EngineError, Word, packed
from recodex_monitor.relay.dialing import Facts, facts_of, why_unfit
from recodex_monitor.relay.layout import VERSION, Keys
from recodex_monitor.settings.engines import EngineAddress

TIMEOUT = 5.0
"""Seconds to wait for a server."""

MOST_APART = 2.0
"""Seconds by which clocks may differ without a note."""


class Problem(NamedTuple):
    """Something that was found.

    Attributes:
        text: for people.
        is_mistake: whether nodes could not use the engine; else it is a note.
    """

    text: str
    is_mistake: bool = True


Call = Callable[..., Any]
"""Sends a command; gives its reply, or raises EngineError or OSError."""


def probe(
    addresses: tuple[EngineAddress, ...], password: str | None, prefix: str
) -> Iterator[Problem]:
    """What is wrong with the servers, of which one must be a primary that nodes can use."""
    problems, usable = [], 0
    for address in addresses:
        try:
            with _connect(address) as link:
                call = _caller(link)
                _log_in(call, address, password)
                found = facts_of(call("INFO"))
                usable += found.role == "master"
                told = _examine(call, found, prefix, is_one_of=len(addresses) > 1)
                problems += [Problem(f"{address}: {one.text}", one.is_mistake) for one in told]
        except (OSError, EngineError) as error:
            text = f"{address}: {getattr(error, 'strerror', None) or error}"
            problems.append(Problem(text, len(addresses) == 1))
    if not usable and not any(one.is_mistake for one in problems):
        problems.append(Problem("none of the servers is a primary that can be reached"))
    yield from problems


def _examine(call: Call, facts: Facts, prefix: str, *, is_one_of: bool) -> Iterator[Problem]:
    if is_one_of and facts.role != "master":
        return
    why = why_unfit(facts)
    if why is not None:
        yield Problem(why)
        return
    version = call("GET", Keys(prefix).meta)
    if version is not None and version != VERSION.encode():
        text = f"{Keys(prefix).meta} is {version.decode(errors='replace')[:20]}, not {VERSION}"
        yield Problem(f"{text}: choose another prefix")
    seconds, micros = map(int, call("TIME"))
    apart = time.time() - seconds - micros / 1e6
    if abs(apart) > MOST_APART:
        text = f"its clock and this machine's are {abs(apart):.0f} s apart"
        yield Problem(f"{text}; nothing breaks, but times in logs do not agree", is_mistake=False)


def _connect(address: EngineAddress) -> socket.socket:
    if address.path:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(TIMEOUT)
        link.connect(address.path)
        return link
    link = socket.create_connection((address.host, address.port), TIMEOUT)
    if not address.tls:
        return link
    return ssl.create_default_context().wrap_socket(link, server_hostname=address.host)


def _caller(link: socket.socket) -> Call:
    reader = hiredis.Reader(replyError=EngineError)

    def call(*words: Word) -> Any:
        link.sendall(packed(words))
        try:
            while (reply := reader.gets()) is False:
                data = link.recv(65536)
                if not data:
                    raise ConnectionError("it closed the connection without a reply")
                reader.feed(data)
        except hiredis.ProtocolError:
            raise ConnectionError("what listens there is no Valkey or Redis server") from None
        if isinstance(reply, EngineError):
            raise reply
        return reply

    return call


def _log_in(call: Call, address: EngineAddress, password: str | None) -> None:
    password = address.password or password
    if password is not None:
        call("AUTH", *([address.user] if address.user else []), password)
    if address.database:
        call("SELECT", address.database)
