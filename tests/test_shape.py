"""How large files, classes and functions of the monitor may be."""

import ast
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from tests.support.imports import ROOT, files

FILE, CLASS, FUNCTION = 300, 15, 40
"""The most lines of a file, methods of a class, lines of a function."""


def sizes() -> Iterator[tuple[str, int, int]]:
    """The name, the size and the largest right size of every file, class and function."""
    for _, file in files():
        name, text = str(file.relative_to(ROOT)), file.read_text()
        yield name, len(text.splitlines()), FILE
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                methods = [one for one in node.body if isinstance(one, FUNCTIONS)]
                yield f"{name} {node.name}", len(methods), CLASS
            elif isinstance(node, FUNCTIONS):
                assert node.end_lineno is not None
                yield f"{name} {node.name}", node.end_lineno - node.lineno + 1, FUNCTION


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class ShapeTests(SynchronousTestCase):
    """What a person can read at once stays small."""

    def test_sizes(self) -> None:
        """No file, class or function is larger than it may be."""
        for name, size, most in sizes():
            self.assertLessEqual(size, most, name)
