"""Nodes of YAML: the keys of a mapping, those that it merges, and the line of each."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from recodex_monitor.settings import readers

_MERGE = "tag:yaml.org,2002:merge"

Item = tuple[str, int, yaml.Node]
"""A key, its line, and its value."""


class CannotMerge(Exception):
    """What is wrong with a merge, as ``LINE: <<: what is wrong``."""


def line_of(mark: Any) -> int:
    """The line of a mark of PyYAML; 1 without a mark."""
    return mark.line + 1 if mark else 1


def items(node: yaml.MappingNode) -> Iterator[Item]:
    """The keys of a mapping, each with its line and its value.

    After its own ones come those that it merges with ``<<`` and does not have itself.

    Raises:
        CannotMerge: what is merged is no mapping.
    """
    own = [_item(key, value) for key, value in node.value if key.tag != _MERGE]
    yield from own
    names = {name for name, _, _ in own}
    yield from (item for name, item in _merged(node, {}).items() if name not in names)


def _item(key: yaml.Node, value: yaml.Node) -> Item:
    text = key.value if isinstance(key, yaml.ScalarNode) else readers.shown_node(key)
    return re.sub(r"[^\x20-\x7e]", "?", text[:60]), line_of(key.start_mark), value


def _merged(node: yaml.MappingNode, known: dict[int, dict[str, Item]]) -> dict[str, Item]:
    """What a mapping merges, by name; of several mappings, the first one with a name counts.

    Args:
        node: the mapping.
        known: what other mappings have, by their identity: aliases make one appear often.
    """
    merged: dict[str, Item] = {}
    for value in (value for key, value in node.value if key.tag == _MERGE):
        for one in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(one, yaml.MappingNode):
                line, shown = line_of(value.start_mark), readers.shown_node(one)
                raise CannotMerge(f"{line}: <<: {shown} is not a mapping of keys")
            if id(one) not in known:
                own = [_item(key, value) for key, value in one.value if key.tag != _MERGE]
                inner = _merged(one, known)
                known[id(one)] = inner | {item[0]: item for item in own}
            merged = known[id(one)] | merged
    return merged
