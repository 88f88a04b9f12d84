"""Reads the paths of key files: one, or two while a key is being replaced."""

import yaml

from recodex_monitor.settings.readers import Mistake, shown_node, text

MOST = 2
"""How many files may be listed."""


def key_files(node: yaml.Node) -> tuple[str, ...]:
    """Read the path of a file, or a list of MOST at most."""
    if isinstance(node, yaml.ScalarNode):
        return (text(node),)
    if not isinstance(node, yaml.SequenceNode):
        raise Mistake(f"{shown_node(node)} is not the path of a file; write it in quotes")
    if len(node.value) > MOST:
        raise Mistake(f"{len(node.value)} files are listed; write two at most")
    return tuple(map(text, node.value))
