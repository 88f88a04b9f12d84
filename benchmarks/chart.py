"""Draws the chart: each contestant's cost as a multiple of the limit's, row by row."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from .contestants import LIMIT, OURS
from .report import number
from .results import Case
from .scenarios import Row

WIDTH, LEFT, RIGHT, TOP, STEP = 880, 262, 110, 74, 30
# The axis runs between these powers of ten; figures beyond are drawn at its ends.
FIRST, LAST = -2, 3
# Colours that can be told apart by colour-blind people, on white and on black.
OURS_COLOUR = "#d55e00"
COLOURS = ("#888888", "#3b8fd0", "#009e73", "#cc79a7", "#c79a00", "#7a6fd6")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.faint { fill: #6e7781; font-size: 11px }
.grid { stroke: #d0d7de; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .faint { fill: #9198a1 }
  .grid { stroke: #3d444d }
}
"""


def write_chart(path: Path, cases: Sequence[Case], names: Sequence[str]) -> None:
    """Write the chart of all rows in which both the limit and ours have a figure."""
    rows = [
        (row, case.medians(row))
        for case in cases
        for row in case.scenario.rows
        if case.medians(row).get(LIMIT) and case.medians(row).get(OURS)
    ]
    if rows:
        path.write_text(draw(rows, names))


def draw(rows: Sequence[tuple[Row, dict[str, float]]], names: Sequence[str]) -> str:
    """Return the SVG; its axis is logarithmic, with the limit at 1."""
    height = TOP + STEP * len(rows) + 34
    colours = dict(zip((name for name in names if name != OURS), COLOURS * 2, strict=False))
    colours[OURS] = OURS_COLOUR
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' aria-label="Cost of each contestant as a multiple of the limit">',
        f"<style>{STYLE}</style>",
        *_legend(names, colours),
        *_grid(height),
    ]
    for index, (row, medians) in enumerate(rows):
        parts += _row(TOP + STEP * index + STEP // 2, row, medians, colours)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(ratio: float) -> float:
    share = (math.log10(ratio) - FIRST) / (LAST - FIRST)
    return LEFT + (WIDTH - LEFT - RIGHT) * min(max(share, 0), 1)


def _legend(names: Sequence[str], colours: dict[str, str]) -> Iterator[str]:
    yield f'<text x="16" y="24" font-weight="600">{escape("Server cost, limit = 1")}</text>'
    x = LEFT - 60
    for name in names:
        yield f'<circle cx="{x}" cy="20" r="6" fill="{colours[name]}"/>'
        yield f'<text x="{x + 11}" y="24">{escape(name)}</text>'
        x += 34 + 8 * len(name)
    yield f'<text class="faint" x="{WIDTH - RIGHT + 24}" y="{TOP - 8}">ours</text>'


def _grid(height: int) -> Iterator[str]:
    for power in range(FIRST, LAST + 1):
        x = f"{_x(10.0**power):.1f}"
        yield f'<line class="grid" x1="{x}" y1="{TOP}" x2="{x}" y2="{height - 30}"/>'
        label = f"{10.0**power:,.{max(0, -power)}f}&#215;"
        yield f'<text class="faint" x="{x}" y="{TOP - 8}" text-anchor="middle">{label}</text>'
    yield (
        f'<text class="faint" x="{LEFT}" y="{height - 10}">'
        "CPU time, latency or memory; logarithmic, further left is better</text>"
    )


def _row(y: int, row: Row, medians: dict[str, float], colours: dict[str, str]) -> Iterator[str]:
    yield f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>'
    yield f'<text x="16" y="{y + 4}">{escape(row.title)}</text>'
    # Ours last, so that nothing covers it.
    for name in sorted(filter(medians.get, medians), key=lambda name: name == OURS):
        value = f"{number(medians[name])} {row.unit}"
        x, radius = _x(medians[name] / medians[LIMIT]), 7 if name == OURS else 5
        yield (
            f'<circle cx="{x:.1f}" cy="{y}" r="{radius}" fill="{colours[name]}">'
            f"<title>{escape(f'{name}: {value}')}</title></circle>"
        )
    text = escape(f"{number(medians[OURS])} {row.unit}")
    yield f'<text x="{WIDTH - RIGHT + 24}" y="{y + 4}">{text}</text>'
