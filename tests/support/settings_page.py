"""Keeps docs/settings.md in step with the schema: ``python -m tests.support.settings_page``.

Of each row of its tables the key and the last column, which says what the setting means, are
written by hand; the default, the values that are allowed, and whether a reload applies a change are
written here.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from recodex_monitor.settings.export import shown
from recodex_monitor.settings.reload import in_force
from recodex_monitor.settings.schema import Settings, Tls, key_of

PAGE = Path(__file__).parents[2] / "docs/settings.md"

_ROW = re.compile(r"^\| `([^`]+)` \|.*\| ([^|]+|) \|$")
_BYTES = re.compile(r"(_bytes|_size|-size|buffer|max_client_message|max_channel_id)$")
_KINDS = {
    "text": "text",
    "link": "an address, `https://...`",
    "flag": "`true`, `false`",
    "level": "a level",
    "networks": "a list of networks",
    "origins": "a list of origins",
    "hosts": "a list of host names",
    "word": "a word",
    "token": "16 characters or more",
    "engines": "one address or several",
    "key_files": "one path or two",
    "endpoint": "an address",
}
_PATHS = re.compile(r"(file|certificate|\bkey|chain|curve_key|curve_clients)$")


def found() -> Iterator[tuple[str, Field[Any], bool]]:
    """Every setting: its key on the page, its field, and whether a reload applies it."""
    for one in fields(Settings):
        section = getattr(Settings(), one.name)
        if not is_dataclass(section) or "read" in one.metadata:
            yield one.name, one, _reloads(one.name, None)
            continue
        prefix = "" if one.name == "limits" else f"{one.name}."
        for inner in fields(section):
            yield prefix + key_of(inner), inner, _reloads(one.name, inner.name)


def _reloads(section: str, key: str | None) -> bool:
    """Whether a changed value is in force after a reload."""
    running = Settings(websocket_tls=Tls("certificate", "key"))
    value: Any = object()
    if key is not None:
        value = replace(getattr(running, section), **{key: value})
    read = replace(running, **{section: value})
    return in_force(running, read) == read


def values(key: str, one: Field[Any]) -> str:
    """The values that a setting may have, with their unit."""
    read = one.metadata["read"]
    kind = read.__qualname__.split(".")[0]
    given = inspect.getclosurevars(read).nonlocals
    if kind == "whole":
        unit = " bytes" if _BYTES.search(key) else ""
        return f"{_number(given['low'])} to {_number(given['high'])}{unit}"
    if kind == "seconds":
        return f"{_number(given['low'])} to {_number(given['high'])} s"
    if kind == "one_of":
        return ", ".join(f"`{word}`" for word in given["known"])
    if kind == "text" and _PATHS.search(key):
        return "a path"
    return _KINDS[kind]


def _number(value: float) -> str:
    """A number for people: powers of two from a million on as such."""
    power = int(value).bit_length() - 1
    if value >= 2**20 and value == 2**power:
        return f"2^{power}"
    return f"{value:,}"


def defaults() -> dict[str, str]:
    """The default of each setting as YAML, empty where there is none."""
    plain = shown(Settings())
    made = {}
    for key, _, _ in found():
        section, _, name = key.rpartition(".")
        value = plain.get(key)
        if section or key not in plain:
            value = plain[section or "limits"].get(name)
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n")
        made[key] = "" if value is None else f"`{_quoted(text.strip())}`"
    return made


def _quoted(text: str) -> str:
    """A list with its texts in double quotes, as the files have them."""
    return re.sub(r"(?<=[\[ ])'?([^\s,'\]]*[^\s,'\]\d][^,'\]]*)'?(?=[,\]])", r'"\1"', text)


def written(page: str) -> str:
    """The page with the columns that are made here.

    Raises:
        KeyError: it has a row for something that is no setting.
    """
    settings = {key: (one, reloads) for key, one, reloads in found()}
    default, lines = defaults(), []
    for line in page.split("\n"):
        row = _ROW.match(line)
        if not row:
            lines.append(line)
            continue
        one, reloads = settings[row[1]]
        cells = [default[row[1]], values(row[1], one), "yes" if reloads else "no", row[2]]
        lines.append("| " + " | ".join([f"`{row[1]}`", *cells]).replace("|  |", "| |") + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
