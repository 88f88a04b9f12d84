"""Settings from the environment: ``RECODEX_MONITOR_LIMITS__MAX_CHANNELS`` and the like."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import yaml

from recodex_monitor.settings import readers
from recodex_monitor.settings.schema import Settings, key_of

PREFIX = "RECODEX_MONITOR_"

NOT_SETTINGS = frozenset({"CONFIG", "PLAIN_LOOP"})
"""Variables of that form that are not settings."""

_NULL = "tag:yaml.org,2002:null"

_SECRETS = frozenset({"status_token", "cluster.engine"})
"""Keys whose values must not appear in an error."""


def variable(key: str) -> str:
    """The variable of a key such as ``logger.max-size``."""
    return PREFIX + key.replace(".", "__").replace("-", "_").upper()


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that look like settings, without those that are empty, in their order."""
    names = {name for name in environ if name.startswith(PREFIX)}
    names -= {PREFIX + name for name in NOT_SETTINGS}
    return {name: environ[name] for name in sorted(names) if environ[name].strip()}


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which a monitor has the settings of its file alone."""
    mine = given(environ)
    return {name: value for name, value in environ.items() if name not in mine}


def keys() -> Iterator[str]:
    """All keys, as ``logger.file``."""
    for one in fields(Settings):
        if "read" in one.metadata:
            yield key_of(one)
        else:
            section: Any = one.default_factory
            yield from (f"{one.name}.{key_of(inner)}" for inner in fields(section))


def unknown(environ: Mapping[str, str] = os.environ) -> list[str]:
    """A note for each variable that looks like a setting but is not one.

    Such variables may come from elsewhere: Kubernetes makes some for each service.
    """
    known = {variable(key): key for key in keys()}
    notes = []
    for name in given(environ):
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            notes.append(f"{name}: is not the variable of a setting, so it is ignored{hint}")
    return notes


def applied(settings: Settings, environ: Mapping[str, str], problems: list[str]) -> Settings:
    """The settings of the file, with those of the environment in place of its own.

    Args:
        settings: those of the file.
        environ: the environment.
        problems: to which mistakes are added, as ``VARIABLE: key: what is wrong``.
    """
    for one in fields(Settings):
        value = getattr(settings, one.name)
        if "read" in one.metadata:
            changed = _read({key_of(one): one}, "", environ, problems)
            settings = replace(settings, **changed)
        else:
            inner = {key_of(field): field for field in fields(value)}
            changed = _read(inner, f"{one.name}.", environ, problems)
            settings = replace(settings, **{one.name: replace(value, **changed)})
    return settings


def _read(
    known: Mapping[str, Any], path: str, environ: Mapping[str, str], problems: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in known.items():
        text = environ.get(variable(path + name), "")
        if not text.strip():
            continue
        try:
            node = _node(text, is_secret=path + name in _SECRETS)
            read = None if node.tag == _NULL else field.metadata["read"](node)
            found[field.name] = field.default if read is None else read
        except readers.Mistake as mistake:
            problems.append(f"{variable(path + name)}: {path}{name}: {mistake}")
    return found


def _node(text: str, *, is_secret: bool) -> yaml.Node:
    if text.strip() == "-":
        # YAML would read this as a list; in ``logger.file`` it means standard error.
        return yaml.ScalarNode("tag:yaml.org,2002:str", "-", style='"')
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        why = "" if is_secret else f": {error.problem or error.context}"
        raise readers.Mistake(f"is not YAML{why}; write a string in quotes") from None
    except (yaml.YAMLError, RecursionError):
        raise readers.Mistake("is not YAML") from None
    if node is None:
        # The text is only a comment.
        raise readers.Mistake("has no value; write null for the default")
    return node
