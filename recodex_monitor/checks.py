"""Checks: what would keep a monitor from starting with its settings, found without starting it.

Nothing is changed: no file is made, and an address is bound for a moment only. What may come from a
monitor that runs already, such as a port that is taken, is a note.
"""

import errno
import importlib.util
import os
import socket
import stat
import time
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from recodex_monitor.network import tokens
from recodex_monitor.network.addresses import is_ipv6_alone, resolve
from recodex_monitor.settings.endpoints import Address, Endpoint, SocketFile, collide
from recodex_monitor.settings.schema import (
    Access,
    Cluster,
    ConfigError,
    History,
    Logger,
    Settings,
    Tls,
    Zeromq,
    addresses_of,
)
from recodex_monitor.system.outputs import objection


class Finding(NamedTuple):
    """What was found.

    Attributes:
        text: begins with the key.
        is_mistake: whether a monitor could not start; else it is a note.
    """

    text: str
    is_mistake: bool = True


def find(settings: Settings, *, connects: bool = False) -> Iterator[Finding]:
    """Everything that is found, on this machine and for the user of this process.

    Args:
        settings: that are checked.
        connects: whether the engine of a cluster is asked, too.
    """
    yield from _log(settings.logger)
    yield from _tls(settings.websocket_tls)
    yield from _broker_keys(settings.zeromq)
    yield from _followers_keys(settings.access)
    yield from _history(settings.history)
    yield from _cluster(settings.cluster, connects=connects)
    yield from _addresses(settings)
    yield from _ipv6(settings.zeromq_uri)
    if settings.status_uri is not None and importlib.util.find_spec("prometheus_client") is None:
        yield Finding("status_uri: needs what recodex-monitor[status] installs")


def _cluster(settings: Cluster, *, connects: bool) -> Iterator[Finding]:
    if settings.engine is None:
        return
    try:
        from recodex_monitor.relay import making, probing

        password = making.password_of(settings)
    except ImportError as error:
        yield Finding(f"cluster: {error}; install the package hiredis")
        return
    except ConfigError as error:
        yield from map(Finding, error.problems)
        return
    if any(one.tls for one in settings.engine) and importlib.util.find_spec("OpenSSL") is None:
        yield Finding("cluster.engine: rediss: needs what recodex-monitor[tls] installs")
    if connects:
        for problem in probing.probe(settings.engine, password, settings.prefix):
            yield Finding(f"cluster.engine: {problem.text}", problem.is_mistake)


def _ipv6(endpoint: Endpoint) -> Iterator[Finding]:
    if is_ipv6_alone(endpoint):
        text = f"warning: zeromq_uri: {endpoint} is IPv6 alone, and the broker of ReCodEx (1.4.0)"
        yield Finding(f'{text} knows IPv4 only; name an IPv4 address, or "*"', is_mistake=False)


def _log(settings: Logger) -> Iterator[Finding]:
    # Without the default file the monitor logs to standard error.
    why = objection(settings.file) if settings.file is not None else None
    if why is not None:
        yield Finding(f"logger.file: cannot write {settings.file}: {why}")


def _tls(settings: Tls) -> Iterator[Finding]:
    if settings == Tls():
        return
    try:
        from recodex_monitor.network import tls

        tls.make_context(settings)
    except ConfigError as error:
        yield from map(Finding, error.problems)


def _broker_keys(settings: Zeromq) -> Iterator[Finding]:
    if settings == Zeromq():
        return
    from recodex_monitor.broker import zap

    try:
        zap.make_guard(settings, time.monotonic)
    except ConfigError as error:
        yield from map(Finding, error.problems)


def _followers_keys(settings: Access) -> Iterator[Finding]:
    try:
        tokens.read_keys(settings)
    except ConfigError as error:
        yield from map(Finding, error.problems)


def _history(settings: History) -> Iterator[Finding]:
    if settings.file is None:
        return
    from recodex_monitor.history import database

    try:
        database.check(settings.file)
    except database.InUse as note:
        yield Finding(f"history.file: {note}; its content was not checked", is_mistake=False)
    except database.HistoryError as error:
        yield Finding(f"history.file: {error}")
        return
    for suffix in (".lock", "-wal", "-shm"):
        path = os.path.realpath(settings.file) + suffix
        if os.path.exists(path) and not os.access(path, os.W_OK):
            yield Finding(f"history.file: cannot write {path}: no permission, or a read-only disk")


def _addresses(settings: Settings) -> Iterator[Finding]:
    places: list[tuple[str, Endpoint]] = []
    for key, endpoint in addresses_of(settings).items():
        if isinstance(endpoint, SocketFile):
            yield from _socket_file(key, endpoint)
            continue
        try:
            found = resolve(endpoint)
        except OSError as error:
            yield Finding(f"{key}: {error.strerror}")
            continue
        for address in found:
            yield from _address(key, address)
        places += [(key, address) for address in found]
    for (key, one), (other, two) in combinations(places, 2):
        if key != other and collide(one, two):
            yield Finding(f"{other}: {two} is taken by {key}; each needs an address of its own")


def _address(key: str, address: Address) -> Iterator[Finding]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address.host, address.port))
    except OSError as error:
        # systemd may pass this socket, and then has bound it; before the start nobody can know.
        by_systemd = key == "websocket_uri" and "INVOCATION_ID" in os.environ
        if error.errno == errno.EADDRINUSE:
            if not by_systemd:
                text = f"{key}: {address} is in use, perhaps by a monitor that runs"
                yield Finding(text, is_mistake=False)
            return
        yield Finding(f"{key}: cannot listen on {address}: {error.strerror}", not by_systemd)


def _socket_file(key: str, file: SocketFile) -> Iterator[Finding]:
    folder = os.path.dirname(file.path)
    try:
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            yield Finding(f"{key}: {folder} is not a folder")
        elif not os.access(folder, os.W_OK | os.X_OK):
            yield Finding(f"{key}: cannot write {folder}: no permission, or a read-only disk")
        elif os.path.exists(file.path) and not stat.S_ISSOCK(os.stat(file.path).st_mode):
            yield Finding(f"{key}: {file.path} exists, and is no socket")
    except OSError as error:
        # The unit's RuntimeDirectory= is there only while the monitor runs or starts.
        is_later = isinstance(error, FileNotFoundError) and folder.startswith("/run/")
        yield Finding(f"{key}: cannot write {folder}: {error.strerror}", not is_later)
