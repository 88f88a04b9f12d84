"""Parsing: from a YAML file and the environment to settings, or to a list of all mistakes."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import yaml

from recodex_monitor.settings import environment, nodes, readers
from recodex_monitor.settings.endpoints import collide, is_private
from recodex_monitor.settings.places import Places, located
from recodex_monitor.settings.schema import (
    DEFAULT_FILE,
    Cluster,
    ConfigError,
    Settings,
    addresses_of,
    key_of,
)

_S = TypeVar("_S")


def installed_file() -> str | None:
    """The configuration file of an installed monitor; None if there is no such file."""
    return DEFAULT_FILE if Path(DEFAULT_FILE).exists() else None


def load(file: str | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from a YAML file, if there is one, and the environment, which wins.

    Raises:
        ConfigError: the file cannot be read, or there are mistakes, all of which are reported.
    """
    try:
        content = b"" if file is None else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from None
    settings = parse(content, file, environ)
    if problems := [*_collisions(settings), *_unclustered(settings)]:
        raise ConfigError(located(problems, file, environ))
    return settings


def parse(
    content: bytes, file: str | None, environ: Mapping[str, str] = MappingProxyType({})
) -> Settings:
    """Make settings of YAML and the environment; an empty document gives the defaults.

    Args:
        content: the YAML, in UTF-8 with or without a byte order mark.
        file: the name of the file in errors; None without a file.
        environ: the environment.

    Raises:
        ConfigError: there are mistakes, all of which are reported.
    """
    document = _composed(content, file)
    problems: list[str] = []
    settings = Settings() if document is None else _checked(document, file, problems)
    settings = environment.applied(settings, environ, problems)
    if not problems:
        places = Places(document, file, environ)
        problems += map(places.locate, _exposed(settings))
    if problems:
        raise ConfigError(problems)
    return settings


def _composed(content: bytes, file: str | None) -> yaml.Node | None:
    try:
        text = content.decode("utf-8-sig")
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{file}:{line}: is not UTF-8"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{file}:{_yaml_problem(error, text)}"]) from None
    except RecursionError:
        raise ConfigError([f"{file}:1: is nested too deeply"]) from None
    except Exception as error:
        # PyYAML raises more than YAMLError for some bad files; none of them can be used.
        raise ConfigError([f"{file}:1: is not YAML: {error!r}"]) from None


def _checked(document: yaml.Node, file: str | None, problems: list[str]) -> Settings:
    found: list[str] = []
    try:
        settings = _section(Settings, document, found)
    except nodes.CannotMerge as error:
        raise ConfigError([f"{file}:{error}"]) from None
    except RecursionError:
        raise ConfigError([f"{file}:1: is nested too deeply"]) from None
    except Exception as error:
        raise ConfigError([f"{file}:1: is not YAML: {error!r}"]) from None
    problems += (f"{file}:{problem}" for problem in found)
    return settings


def _exposed(settings: Settings) -> Iterator[str]:
    """The mistake of a status page that other machines could read without a token."""
    if settings.status_uri and not is_private(settings.status_uri) and not settings.status_token:
        why = "others can connect there, and the page shows the ids of jobs"
        yield f"status_uri: {why}; set a status_token too, or use 127.0.0.1"


def _collisions(settings: Settings) -> Iterator[str]:
    """The mistakes of listeners that have the same address."""
    for (key, one), (other, two) in combinations(addresses_of(settings).items(), 2):
        if collide(one, two):
            yield f"{other}: {two} is taken by {key} ({one}); each needs an address of its own"


def _unclustered(settings: Settings) -> Iterator[str]:
    """The mistakes of a cluster that lacks what it needs, or has what it cannot use."""
    if settings.cluster == Cluster():
        return
    if settings.cluster.engine is None:
        yield "cluster: has no engine; write the address of a Valkey server as its key engine"
    if settings.status_uri is None:
        why = "balancers and the other nodes ask there who owns"
        yield f"cluster: needs a status_uri: {why}; set one"
    if settings.history.file is not None:
        why = "the engine keeps the history of all nodes"
        yield f"history.file: cannot be used with a cluster: {why}; remove one of them"


def _yaml_problem(error: yaml.YAMLError, text: str) -> str:
    """PyYAML's error as ``LINE: what is wrong``."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"{line}: is not YAML: the character {chr(error.character)!r} is not allowed"
    assert isinstance(error, yaml.MarkedYAMLError)
    mark = error.problem_mark or error.context_mark
    if "single document" in (error.context or ""):
        return f"{nodes.line_of(mark)}: a second document begins; only one is allowed"
    return f"{nodes.line_of(mark)}: is not YAML: {error.problem or error.context}"


def _section(cls: type[_S], node: yaml.Node, problems: list[str], path: str = "") -> _S:
    """Make a section of a mapping; mistakes are added to ``problems`` as ``LINE: key: ...``."""
    if node.tag == "tag:yaml.org,2002:null":
        return cls()  # an empty document, or a section without keys
    if not isinstance(node, yaml.MappingNode):
        line = nodes.line_of(node.start_mark)
        where = f"{path.rstrip('.')}: " if path else ""
        problems.append(f"{line}: {where}{readers.shown_node(node)} is not a mapping of keys")
        return cls()
    known = {key_of(one): one for one in fields(cast(Any, cls))}
    found: dict[str, Any] = {}
    for key, line, value in nodes.items(node):
        name = f"{path}{key}"
        try:
            if key not in known:
                raise readers.Mistake(_unknown(key, known))
            if known[key].name in found:
                raise readers.Mistake("is given twice; keep one")
            read = _value(known[key], value, problems, name)
            found[known[key].name] = known[key].default if read is None else read
        except readers.Mistake as mistake:
            problems.append(f"{line}: {name}: {mistake}")
    return cls(**found)


def _value(key: Any, node: yaml.Node, problems: list[str], name: str) -> Any:
    if "read" in key.metadata:
        return key.metadata["read"](node)
    return _section(key.default_factory, node, problems, f"{name}.")


def _unknown(key: str, known: dict[str, Any]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1)
    if nearest:
        return f"is not a key; did you mean {nearest[0]}?"
    return f"is not a key; the keys are {', '.join(known)}"
