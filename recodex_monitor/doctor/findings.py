"""Findings: what a check has seen, whether that is right, and what to do about it."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from textwrap import wrap
from typing import NamedTuple

_WIDTH = 100


class Level(StrEnum):
    """How bad a finding is: only FAIL keeps students from seeing progress."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """What a check has found.

    Attributes:
        check: its name, one of those in the documentation.
        level: how bad it is.
        seen: what was seen.
        remedy: what to do; empty where nothing is to be done.
    """

    check: str
    level: Level
    seen: str
    remedy: str = ""


def ok(check: str, seen: str) -> Finding:
    """A finding of something that is right."""
    return Finding(check, Level.OK, seen)


def warn(check: str, seen: str, remedy: str = "") -> Finding:
    """A finding of something that may be wrong, or that could not be tried."""
    return Finding(check, Level.WARN, seen, remedy)


def fail(check: str, seen: str, remedy: str = "") -> Finding:
    """A finding of something that is wrong."""
    return Finding(check, Level.FAIL, seen, remedy)


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level of some findings."""
    levels = {one.level for one in findings}
    return next((one for one in (Level.FAIL, Level.WARN) if one in levels), Level.OK)


_COLOURS = {Level.OK: 32, Level.WARN: 33, Level.FAIL: 31}


def coloured(line: str, level: Level) -> str:
    """The first line of a finding for a terminal that has colours."""
    return f"\x1b[{_COLOURS[level]};1m{level}\x1b[0m{line.removeprefix(level)}"


def lines(finding: Finding) -> Iterator[str]:
    """A finding as lines for people."""
    head = f"{finding.level:5} {finding.check:15} "
    indent = " " * len(head)
    yield from _wrapped(finding.seen, head, indent) or [head]
    if finding.remedy:
        yield from _wrapped(finding.remedy, f"{indent}-> ", f"{indent}   ")


def _wrapped(text: str, first: str, others: str) -> list[str]:
    # Names and commands have hyphens, and are to be copied as a whole.
    return wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False
    )
