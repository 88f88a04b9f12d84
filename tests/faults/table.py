"""The cases, their results, and the table that shows them."""

import shutil
import textwrap
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

HEADINGS = ("case", "what was done", "how much of it", "lost", "what the service did", "ok")


class Skipped(Exception):
    """A case cannot run here; the text says why."""


@dataclass
class Run:
    """One run of a case: how much it has to do, and its result.

    Attributes:
        long: whether to do the full amounts, or the smaller ones of a test run.
        amount: how much was done, as text for the table.
        lost: what was lost, as text for the table.
        service: what the service did, as text for the table.
        problems: what did not hold; without any, the case is ok.
        skipped: why the case did not run; empty if it ran.
        seconds: how long it took.
    """

    long: bool = False
    amount: str = ""
    lost: str = "nothing"
    service: str = ""
    problems: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0

    def pick(self, full: int, fewer: int) -> int:
        """The amount for this run: `full` in the long form, else `fewer`."""
        return full if self.long else fewer

    def within(self, strict: float, generous: float) -> float:
        """The bound for this run: generous in the short form, whose machine may be busy."""
        return strict if self.long else generous

    def require(self, holds: bool, problem: str) -> None:
        """Note a problem unless a condition holds."""
        if not holds:
            self.problems.append(problem)

    @property
    def ok(self) -> bool:
        """Whether there was no problem."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The table's last column."""
        if self.skipped:
            return "skipped"
        return "ok" if self.ok else "FAILED"


@dataclass(frozen=True)
class Case:
    """A case: its name, a description of what is done, and the function that does it.

    Attributes:
        is_quick: whether `make test` plays its short form.
    """

    name: str
    done: str
    play: Callable[[Run], None]
    is_quick: bool = True

    def run(self, long: bool) -> Run:
        """Play it; an exception becomes a problem of the run."""
        run = Run(long)
        started = time.monotonic()
        try:
            self.play(run)
        except Skipped as reason:
            run.skipped = str(reason)
        except Exception:
            run.problems.append(traceback.format_exc())
        run.seconds = time.monotonic() - started
        return run


CASES: dict[str, Case] = {}


def case(
    name: str, done: str, *, is_quick: bool = True
) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Register a function as a case of the table.

    Args:
        name: the case's short name.
        done: what it does, as text for the table.
        is_quick: whether `make test` plays its short form.
    """

    def register(play: Callable[[Run], None]) -> Callable[[Run], None]:
        CASES[name] = Case(name, done, play, is_quick)
        return play

    return register


Lines = Iterable[tuple[Case, Run]]


def row(one: Case, run: Run) -> tuple[str, ...]:
    """The cells of a line of the table."""
    if run.skipped:
        return one.name, one.done, "", "", run.skipped, run.verdict
    return one.name, one.done, run.amount, run.lost, run.service, run.verdict


def markdown(lines: Lines) -> str:
    """The table in Markdown, for a page of the documentation."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(row(*line) for line in lines)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in one)} |\n" for one in rows)


def plain(cells: Sequence[str], width: int | None = None) -> str:
    """A line of the table for a terminal; the cells are wrapped to the columns' widths."""
    width = width or max(100, shutil.get_terminal_size((150, 25)).columns)
    rest = width - 14 - 8 - 10
    widths = (14, *(int(rest * part) for part in (0.24, 0.22, 0.18, 0.36)), 8)
    columns = [textwrap.wrap(cell, size) or [""] for cell, size in zip(cells, widths, strict=True)]
    height = max(map(len, columns))
    lines = []
    for number in range(height):
        parts = [column[number] if number < len(column) else "" for column in columns]
        padded = [part.ljust(size) for part, size in zip(parts, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
