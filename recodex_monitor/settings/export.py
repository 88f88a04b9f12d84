"""Settings as plain values: written as YAML, shown on the status page, and compared."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import yaml

from recodex_monitor.settings.endpoints import Address, SocketFile
from recodex_monitor.settings.schema import Settings


def changes(old: Settings, new: Settings) -> Iterator[tuple[str, Any, Any]]:
    """The keys whose values differ, with what may be shown of both; None where there is none."""
    before, after = _flat(old), _flat(new)
    for key in sorted(before | after):
        if before.get(key) != after.get(key):
            if key == "status_token":
                yield key, "***", "***"
            else:
                yield key, before.get(key), after.get(key)


def _flat(settings: Settings) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in _plain(settings).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            flat[name] = value
    return flat


def dump(settings: Settings) -> str:
    """The settings as YAML that ``parse`` reads to the same settings."""
    return yaml.safe_dump(_plain(settings), sort_keys=False)


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as plain values that may be shown: without the token."""
    plain: dict[str, Any] = _plain(settings)
    plain.pop("status_token", None)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Address):
        return [value.host, value.port]
    if isinstance(value, SocketFile):
        return str(value)
    if isinstance(value, tuple):
        return [one if isinstance(one, str) else str(one) for one in value]
    if is_dataclass(value):
        return {
            one.metadata.get("name") or one.name: _plain(getattr(value, one.name))
            for one in fields(value)
            if getattr(value, one.name) is not None
        }
    return value
