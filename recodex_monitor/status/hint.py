"""A hint: something that is wrong, in words, with its remedy."""

from typing import NamedTuple


class Hint(NamedTuple):
    """Something that keeps students from seeing progress.

    Attributes:
        cause: its name in docs/troubleshooting.md.
        text: what the monitor sees of it.
        remedy: what to do about it, or where to look; empty where the text says that.
    """

    cause: str
    text: str
    remedy: str = ""
