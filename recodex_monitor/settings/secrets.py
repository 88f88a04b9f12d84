"""Secrets in files: which of them others could read."""

import os
import shlex
import stat
from collections.abc import Iterator

from recodex_monitor.settings import environment
from recodex_monitor.settings.schema import Settings


def exposed(file: str | None, settings: Settings) -> list[str]:
    """A text for each file with a secret that every user of the machine can read.

    Args:
        file: the configuration file; None if there is none.
        settings: what is in it.
    """
    return [
        f"{key}: every user of this machine can read {path}; run `chmod o= {shlex.quote(path)}`"
        for key, path in _secrets(file, settings)
        if _is_readable_for_all(path)
    ]


def _secrets(file: str | None, settings: Settings) -> Iterator[tuple[str, str]]:
    """The keys of secrets, each with the file that holds it."""
    in_file = environment.variable("status_token") not in environment.given(os.environ)
    if file is not None and settings.status_token is not None and in_file:
        yield "status_token", file
    if settings.zeromq.curve_key is not None:
        yield "zeromq.curve_key", settings.zeromq.curve_key
    if settings.websocket_tls.key is not None:
        yield "websocket_tls.key", settings.websocket_tls.key
    for path in settings.access.key_file:
        if not _is_public(path):
            yield "access.key_file", path


def _is_public(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"-----BEGIN PUBLIC KEY" in file.read(65536)
    except OSError:
        return True  # reported as a mistake elsewhere


def _is_readable_for_all(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False  # reported as a mistake elsewhere
