"""The keys of YAML mappings; tests/settings/test_parsing.py has more of what can be wrong."""

import yaml
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.nodes import CannotMerge, items


def read(text: str) -> list[tuple[str, int]]:
    """The keys and lines of a mapping."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    return [(key, line) for key, line, _ in items(node)]


class ItemTests(SynchronousTestCase):
    """Keys with their lines."""

    def test_lines(self) -> None:
        """Keys come in their order; signs that a terminal may obey are replaced."""
        self.assertEqual(read('a: 1\n"b\\e": 2\n[c]: 3'), [("a", 1), ("b?", 2), ("a list", 3)])

    def test_merged(self) -> None:
        """Merged keys come last, unless the mapping has them itself."""
        self.assertEqual(read("<<: {a: 1, b: 2}\na: 3"), [("a", 2), ("b", 1)])

    def test_cannot_merge(self) -> None:
        """Only mappings can be merged."""
        raised = self.assertRaises(CannotMerge, read, "a: 1\n<<: 5")
        self.assertEqual(str(raised), "2: <<: '5' is not a mapping of keys")
