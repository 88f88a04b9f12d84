"""Settings from YAML: every mistake with its file, line and key, and all of them at once."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from recodex_monitor.settings import readers
from recodex_monitor.settings.endpoints import Endpoint, SocketFile, parsed_ip
from recodex_monitor.settings.schema import DEFAULT_FILE, ConfigError, Settings

_S = TypeVar("_S")


def installed_file() -> str | None:
    """The configuration of an installed system; None where there is none."""
    return DEFAULT_FILE if Path(DEFAULT_FILE).exists() else None


def load(file: str | None) -> Settings:
    """Read the settings from a YAML file; without one, the defaults.

    Raises:
        ConfigError: the file cannot be read or something is wrong in it; all mistakes at once.
    """
    if file is None:
        return Settings()
    try:
        return parse(Path(file).read_bytes(), file)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from None


def parse(content: bytes, file: str) -> Settings:
    """Make settings of YAML; an empty document is the defaults.

    Args:
        content: the YAML, in UTF-8 or with a byte order mark.
        file: what the file is called in errors.

    Raises:
        ConfigError: something is wrong; all mistakes at once.
    """
    problems: list[str] = []
    try:
        text = content.decode("utf-8-sig")
        document = yaml.compose(text, Loader=yaml.SafeLoader)
        settings = Settings() if document is None else _section(Settings, document, problems)
        if document is not None and not problems:
            problems += _exposed(settings, document)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{file}:{line}: is not UTF-8, which YAML is written in"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{file}:{_yaml_problem(error, text)}"]) from None
    except RecursionError:
        raise ConfigError([f"{file}:1: is nested too deeply"]) from None
    except Exception as error:
        # PyYAML lets some of its own errors through; whatever it is, the file is wrong.
        raise ConfigError([f"{file}:1: is not YAML: {error!r}"]) from None
    if problems:
        raise ConfigError([f"{file}:{problem}" for problem in problems])
    return settings


def is_private(address: Endpoint) -> bool:
    """Whether only this machine can connect to an address: loopback or a Unix socket."""
    if isinstance(address, SocketFile) or address.host.lower().rstrip(".") == "localhost":
        return True
    parsed = parsed_ip(address.host)
    return parsed is not None and parsed.is_loopback


def _exposed(settings: Settings, document: yaml.Node) -> Iterator[str]:
    """What is wrong with a status page that others than this machine could read."""
    if settings.status_uri and not is_private(settings.status_uri) and not settings.status_token:
        assert isinstance(document, yaml.MappingNode)
        line = next(line for key, line, _ in _items(document) if key == "status_uri")
        why = "others can connect there, and it shows the ids of jobs"
        yield f"{line}: status_uri: {why}, write a status_token too, or use 127.0.0.1"


def _yaml_problem(error: yaml.YAMLError, text: str) -> str:
    """What PyYAML says, as ``LINE: what is wrong``."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"{line}: is not YAML: the character {chr(error.character)!r} is not allowed"
    assert isinstance(error, yaml.MarkedYAMLError)
    mark = error.problem_mark or error.context_mark
    if "single document" in (error.context or ""):
        return f"{_line(mark)}: a second document begins, only one is read"
    return f"{_line(mark)}: is not YAML: {error.problem or error.context}"


def _line(mark: Any) -> int:
    return mark.line + 1 if mark else 1


def _section(cls: type[_S], node: yaml.Node, problems: list[str], path: str = "") -> _S:
    """Make a dataclass of a mapping; what is wrong goes to ``problems`` as ``LINE: key: ...``."""
    if node.tag == "tag:yaml.org,2002:null":
        return cls()  # an empty document, or a heading with nothing below it
    if not isinstance(node, yaml.MappingNode):
        where = f"{path.rstrip('.')}: " if path else ""
        problems.append(
            f"{_line(node.start_mark)}: {where}{readers.shown_node(node)} is not a mapping of keys"
        )
        return cls()
    known = {one.metadata.get("name") or one.name: one for one in fields(cast(Any, cls))}
    found: dict[str, Any] = {}
    for key, line, value in _items(node):
        name = f"{path}{key}"
        try:
            if key not in known:
                raise readers.Mistake(_unknown(key, known))
            if known[key].name in found:
                raise readers.Mistake("is given twice, keep one")
            found[known[key].name] = _value(known[key], value, problems, name)
        except readers.Mistake as mistake:
            problems.append(f"{line}: {name}: {mistake}")
    return cls(**found)


def _items(node: yaml.MappingNode) -> Iterator[tuple[str, int, yaml.Node]]:
    for key, value in node.value:
        text = key.value if isinstance(key, yaml.ScalarNode) else readers.shown_node(key)
        yield re.sub(r"[^\x20-\x7e]", "?", text[:60]), _line(key.start_mark), value


def _value(key: Any, node: yaml.Node, problems: list[str], name: str) -> Any:
    if "read" in key.metadata:
        return key.metadata["read"](node)
    return _section(key.default_factory, node, problems, f"{name}.")


def _unknown(key: str, known: dict[str, Any]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1)
    if nearest:
        return f"is not known, did you mean {nearest[0]}?"
    return f"is not known, there are {', '.join(known)}"
