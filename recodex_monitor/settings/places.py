"""Where settings come from: a line of the file, or a variable of the environment."""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import yaml

from recodex_monitor.settings import environment
from recodex_monitor.settings.nodes import items


class Places:
    """Where each key was read."""

    def __init__(
        self, document: yaml.Node | None, file: str | None, environ: Mapping[str, str]
    ) -> None:
        """Look for them in the file's document, and in the environment, which wins."""
        self._document = document
        self._file = file
        self._variables = environment.given(environ)

    @classmethod
    def read(cls, file: str | None, environ: Mapping[str, str] = os.environ) -> "Places":
        """Read a file once more; if it can no longer be read, its keys have no lines."""
        document = None
        if file is not None:
            with suppress(OSError, ValueError, yaml.YAMLError):
                text = Path(file).read_bytes().decode("utf-8-sig")
                document = yaml.compose(text, Loader=yaml.SafeLoader)
        return cls(document, file, environ)

    def of(self, key: str) -> str | None:
        """``VARIABLE`` or ``FILE:LINE`` of a key such as ``logger.file``; None for a default."""
        variable = environment.variable(key)
        if variable in self._variables:
            return variable
        line = self._line(key)
        return None if line is None else f"{self._file}:{line}"

    def _line(self, key: str) -> int | None:
        line, document = None, self._document
        for name in key.split("."):
            if not isinstance(document, yaml.MappingNode):
                return None
            found = [item for item in items(document) if item[0] == name]
            if not found:
                return None
            _, line, document = found[0]
        return line

    def locate(self, problem: str) -> str:
        """A problem that begins with a key, after the place where that key was set."""
        match = re.match(r"([a-z_]+(?:\.[a-z_-]+)?): ", problem)
        if match is None:
            return problem
        place = self.of(match[1])
        # A default was taken by a key that somebody has written.
        if place is None and (other := re.search(r" is taken by ([a-z_]+)", problem)):
            place = self.of(other[1])
        place = place or self._file
        return problem if place is None else f"{place}: {problem}"


def located(
    problems: Iterable[str], file: str | None, environ: Mapping[str, str] = os.environ
) -> list[str]:
    """Problems that begin with a key, each after the place where that key was set.

    Args:
        problems: as ``key: what is wrong``; others stay as they are.
        file: where the settings were read from; None for the defaults.
        environ: the environment that they were read from.
    """
    places = Places.read(file, environ)
    return [places.locate(problem) for problem in problems]
