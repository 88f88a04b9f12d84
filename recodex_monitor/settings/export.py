"""Settings as plain values: written as YAML, shown on the status page, and compared."""

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import yaml

from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.engines import EngineAddress
from recodex_monitor.settings.schema import Settings, key_of

_SECRETS = frozenset({"status_token"})
"""Keys whose values must not be seen in a log or on a page."""


def changes(old: Settings, new: Settings) -> Iterator[tuple[str, Any, Any]]:
    """The keys whose values differ, each with its old and new value; None is an unset key.

    Of a secret, only the fact that it differs is given.
    """
    before, after = _flat(old), _flat(new)
    for key in sorted(before | after):
        if before.get(key) != after.get(key):
            is_secret = key in _SECRETS or key == "cluster.engine"
            yield (key, "***", "***") if is_secret else (key, before.get(key), after.get(key))


def _flat(settings: Settings) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in _plain(settings).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            flat[name] = value
    return flat


def dump(settings: Settings, origin: Callable[[str], str] | None = None) -> str:
    """The settings as YAML, from which ``parse`` makes the same settings.

    Args:
        settings: the settings.
        origin: gives where a key such as ``logger.file`` was read, for a comment beside it.
    """
    lines: list[str] = []
    for name, value in _plain(settings).items():
        if isinstance(value, dict) and value:
            lines.append(f"{name}:")
            for key, one in value.items():
                lines += (f"  {line}" for line in _dumped(key, one, origin, f"{name}."))
        else:
            lines += _dumped(name, value, origin)
    return "\n".join(lines) + "\n"


def _dumped(
    key: str, value: Any, origin: Callable[[str], str] | None, section: str = ""
) -> list[str]:
    # Lines are not wrapped, so that a comment never ends up within a string.
    lines = yaml.safe_dump({key: value}, sort_keys=False, width=2**30).splitlines()
    if origin is None:
        return lines
    comment = f"# {origin(section + key)}"
    if isinstance(value, str) and len(lines) > 1:
        return [comment, *lines]
    return [f"{lines[0]}  {comment}", *lines[1:]]


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, without secrets."""
    plain = {key: value for key, value in _plain(settings).items() if key not in _SECRETS}
    cluster = plain.get("cluster", {})
    if "engine" in cluster:
        cluster["engine"] = _without_passwords(cluster["engine"])
    return plain


def _without_passwords(urls: list[str]) -> list[str]:
    return [re.sub("(?<=://)([^@:/]*):[^@/]*@", r"\1:***@", url) for url in urls]


def _plain(value: Any) -> Any:
    if isinstance(value, Address):
        return [value.host, value.port]
    if isinstance(value, SocketFile):
        return str(value)
    if isinstance(value, EngineAddress):
        return value.url
    if isinstance(value, tuple) and value and isinstance(value[0], EngineAddress):
        return [*map(_plain, value)]
    if isinstance(value, tuple):
        return [one if isinstance(one, str) else str(one) for one in value]
    if is_dataclass(value):
        return {
            key_of(one): _plain(getattr(value, one.name))
            for one in fields(value)
            if getattr(value, one.name) is not None
        }
    return value
