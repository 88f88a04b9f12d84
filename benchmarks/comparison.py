"""Compares two versions of the monitor row by row."""

from collections.abc import Iterator, Sequence
from statistics import median

from .contestants import VARIANTS, variant_name
from .report import columns, number
from .results import Case
from .scenarios import Row


def table(cases: Sequence[Case], name: str) -> str:
    """Return ours beside another contestant, variant by variant.

    The difference is that of ours from the other's, by their medians. The last two columns tell by
    how much the rounds of one program differ: a smaller difference means nothing.
    """
    head = ["scenario", "unit", "variant", "ours", name, "difference", "our rounds", "its rounds"]
    return columns([head, *(line for case in cases for line in _lines(case, name))])


def _lines(case: Case, name: str) -> Iterator[list[str]]:
    rows = [row for row in case.scenario.rows if not row.base]
    for row in rows:
        values = case.values.get(row.key, {})
        for variant in VARIANTS:
            ours, theirs = values.get(variant), values.get(variant_name(name, variant))
            if ours and theirs:
                yield _line(row, variant, ours, theirs)


def _line(row: Row, variant: str, ours: Sequence[float], theirs: Sequence[float]) -> list[str]:
    figures = median(ours), median(theirs)
    difference = f"{100 * (figures[0] / figures[1] - 1):+.1f} %" if figures[1] else ""
    return [
        row.title,
        row.unit,
        variant,
        *map(number, figures),
        difference,
        *map(spread, (ours, theirs)),
    ]


def spread(values: Sequence[float]) -> str:
    """Return by how much rounds differ: the range as a part of the median; empty for one."""
    middle = median(values)
    return f"{100 * (max(values) - min(values)) / middle:.1f} %" if middle and values[1:] else ""
