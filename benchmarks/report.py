"""Prints the tables and writes the JSON."""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .contestants import LIMIT, OURS
from .nchan import nchan_version
from .results import Case, bound, excess
from .scenarios import Row

PACKAGES = ("recodex-monitor", "Twisted", "autobahn", "txZMQ", "pyzmq", "websockets")
MISSING = "-"


def number(value: float) -> str:
    """Return a figure with about three digits."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def table(cases: Sequence[Case], names: Sequence[str]) -> str:
    """Return the table of figures: each row's medians, and ours as a ratio to each other's."""
    head = ["scenario", "unit", *names, "bound", ""]
    lines = [_line(case, row, names) for case in cases for row in case.scenario.rows]
    note = "In brackets: ours divided by that figure. Lower is better everywhere.\n"
    return columns([head, *lines]) + note


def _line(case: Case, row: Row, names: Sequence[str]) -> list[str]:
    medians = case.medians(row)
    cells = [_cell(name, medians) for name in names]
    most = bound(row, medians)
    return [row.title, row.unit, *cells, number(most) if most else "", _verdict(row, medians)]


def _cell(name: str, medians: dict[str, float]) -> str:
    if name not in medians:
        return MISSING
    text = number(medians[name])
    if name == OURS or OURS not in medians or not medians[name]:
        return text
    return f"{text} ({number(medians[OURS] / medians[name])})"


def _verdict(row: Row, medians: dict[str, float]) -> str:
    ratio = excess(row, medians)
    if ratio is None:
        return ""
    return "reached" if ratio <= 1 else f"{ratio:.2f} times its bound"


def growth_table(case_groups: Sequence[Sequence[Case]], names: Sequence[str]) -> str:
    """Return how the figures change with size; each group is one scenario, by size.

    Where the limit was measured, a last column has ours as a ratio to it, which takes out what
    grows with the system alone.
    """
    return "\n".join(
        _growth(group, row, names)
        for group in case_groups
        for row in group[0].scenario.growth_rows or group[0].scenario.rows
    )


def _growth(group: Sequence[Case], row: Row, names: Sequence[str]) -> str:
    size = group[0].scenario.grows
    found = [_figures(group, row, name) for name in names]
    heads = list(names)
    if {OURS, LIMIT} <= set(names):
        heads.append("ours / limit")
        ours, limit = found[names.index(OURS)], found[names.index(LIMIT)]
        found.append([a / b if a and b else None for a, b in zip(ours, limit, strict=True)])
    lines = [[f"{row.title}, {row.unit}; {size}", *heads]]
    for case, figures in zip(group, zip(*found, strict=True), strict=True):
        lines.append([f"{case.sizes[size]:,}", *map(_optional, figures)])
    lines.append(["largest / smallest figure", *(_optional(_spread(each)) for each in found)])
    return columns(lines)


def _figures(group: Sequence[Case], row: Row, name: str) -> list[float | None]:
    return [case.medians(row).get(name) for case in group]


def _optional(value: float | None) -> str:
    return MISSING if value is None else number(value)


def _spread(figures: Sequence[float | None]) -> float | None:
    values = [value for value in figures if value]
    return max(values) / min(values) if values else None


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells as text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ""
    for first, *rest in lines:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        text += "  ".join([first.ljust(widths[0]), *cells]).rstrip() + "\n"
    return text


def errors(cases: Sequence[Case]) -> str:
    """Return a line for each contestant that failed in a scenario."""
    return "".join(
        f"{case.scenario.name}: {name} failed: {text}\n"
        for case in cases
        for name, text in case.errors.items()
    )


def write_json(path: Path, cases: Sequence[Case]) -> None:
    """Write all values, with the machine and the versions with which they were measured."""
    document = {
        "machine": machine(),
        "versions": versions(),
        "cases": [_case(case) for case in cases],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _case(case: Case) -> dict[str, object]:
    rows = {row.key: row for row in (*case.scenario.rows, *case.scenario.growth_rows)}
    return {
        "scenario": case.scenario.name,
        "sizes": dict(case.sizes),
        "rows": [_row(case, row) for row in rows.values()],
        "errors": case.errors,
    }


def _row(case: Case, row: Row) -> dict[str, object]:
    return {
        "row": row.key,
        "title": row.title,
        "unit": row.unit,
        "bound": bound(row, case.medians(row)),
        "medians": case.medians(row),
        "rounds": case.values.get(row.key, {}),
    }


def machine() -> dict[str, str]:
    """Return what the figures depend on: processor, cores, memory and kernel."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of the programs that took part, of those that are installed."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for name, text in (("nginx", nchan_version()), ("cc", _first_line(["cc", "--version"]))):
        if text:
            found[name] = text
    return found


def _first_line(command: list[str]) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return result.stdout.partition("\n")[0]
