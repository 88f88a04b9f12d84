"""The results of a run: values by row and contestant, their medians, and their bounds."""

from dataclasses import dataclass, field
from statistics import median

from .contestants import ORIGINAL, OURS, VARIANTS
from .nchan import NCHAN
from .scenarios import Row, Scenario, Sizes


@dataclass
class Case:
    """One scenario at one set of sizes, and the results of each contestant in each round."""

    scenario: Scenario
    sizes: Sizes
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def add(self, contestant: str, result: dict[str, float]) -> None:
        """Add the result of one round of one contestant."""
        for key, value in result.items():
            self.values.setdefault(key, {}).setdefault(contestant, []).append(value)

    def medians(self, row: Row) -> dict[str, float]:
        """Return the median of each contestant that has values in a row."""
        values = self.values.get(row.base or row.key, {})
        medians = {name: median(rounds) for name, rounds in values.items()}
        if not row.base:
            return medians
        if OURS not in medians or row.variant not in medians:
            return {}
        return {row.variant: medians[row.variant] / medians[OURS]}


def bound(row: Row, medians: dict[str, float]) -> float | None:
    """Return what our figure must not exceed, in the row's unit; None if it has no bound."""
    if row.goal is None:
        return None
    if row.goal.absolute is not None:
        return row.goal.absolute
    if row.goal.nchan is not None and NCHAN in medians:
        return row.goal.nchan * medians[NCHAN]
    if row.goal.original is not None and ORIGINAL in medians:
        return row.goal.original * medians[ORIGINAL]
    return None


def excess(row: Row, medians: dict[str, float]) -> float | None:
    """Return our figure divided by its bound: up to 1 is good; None if it has no bound."""
    most = bound(row, medians)
    if most is None or row.variant not in medians:
        return None
    return medians[row.variant] / most


def failed(case: Case, tolerance: float) -> bool:
    """Tell whether ours failed, or is above `tolerance` times a bound."""
    ratios = [excess(row, case.medians(row)) for row in case.scenario.rows]
    broken = not case.errors.keys().isdisjoint(VARIANTS)
    return broken or any(ratio is not None and ratio > tolerance for ratio in ratios)
