"""The files of keys."""

import yaml
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.settings.key_files import key_files
from recodex_monitor.settings.readers import Mistake


class KeyFilesTests(SynchronousTestCase):
    """One file, or a list."""

    def read(self, text: str) -> tuple[str, ...]:
        """Read this YAML."""
        node = yaml.compose(text)
        assert node is not None
        return key_files(node)

    def test_read(self) -> None:
        """A path, or a list of up to two."""
        for text, found in (
            ("/a", ("/a",)),
            ("[/a]", ("/a",)),
            ("[/a, '/b c']", ("/a", "/b c")),
            ("[]", ()),
        ):
            self.assertEqual(self.read(text), found)

    def test_mistakes(self) -> None:
        """Anything else is a mistake."""
        for text in ("''", "1", "{a: b}", "[a, b, c]", "[1]", "[[a]]", "null"):
            self.assertRaises(Mistake, self.read, text)
