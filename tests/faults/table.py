"""The cases, what comes of them, and the table that tells it."""

import shutil
import textwrap
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

HEADINGS = ("case", "what was done", "how much of it", "lost", "what the service did", "ok")


class Skipped(Exception):
    """Why a case cannot run here."""


@dataclass
class Run:
    """One run of a case: how much it is to do, and what came of it.

    Attributes:
        long: whether the full amounts are wanted; else those that fit into a test run.
        amount: how much was done, as the table tells it.
        lost: what was lost.
        service: what the service did.
        problems: what did not hold; the case is ok when there is none.
        skipped: why the case did not run.
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
        """The amount: the first in the long form, the second in the shorter one."""
        return full if self.long else fewer

    def within(self, strict: float, generous: float) -> float:
        """The bound: strict in the long form, generous where the machine may be busy."""
        return strict if self.long else generous

    def require(self, holds: bool, problem: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.problems.append(problem)

    @property
    def ok(self) -> bool:
        """Whether all held."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The table's last column."""
        if self.skipped:
            return "skipped"
        return "ok" if self.ok else "FAILED"


@dataclass(frozen=True)
class Case:
    """A case: its name, what it does in words, and the function that does it."""

    name: str
    done: str
    play: Callable[[Run], None]

    def run(self, long: bool) -> Run:
        """Do it; whatever goes wrong is a problem of the run."""
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


def case(name: str, done: str) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Make a function a case of the table.

    Args:
        name: the case's short name.
        done: what it does, in words for the table.
    """

    def register(play: Callable[[Run], None]) -> Callable[[Run], None]:
        CASES[name] = Case(name, done, play)
        return play

    return register


Lines = Iterable[tuple[Case, Run]]


def row(one: Case, run: Run) -> tuple[str, ...]:
    """A line of the table."""
    if run.skipped:
        return one.name, one.done, "", "", run.skipped, run.verdict
    return one.name, one.done, run.amount, run.lost, run.service, run.verdict


def markdown(lines: Lines) -> str:
    """The table for a page of the documentation."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(row(*line) for line in lines)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in one)} |\n" for one in rows)


def plain(cells: Sequence[str], width: int | None = None) -> str:
    """A line of the table for a terminal, its cells broken into lines of the columns' widths."""
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
