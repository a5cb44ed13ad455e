"""Simulate sweeps of each kind, and count the claims and intervals of `report`'s comparison."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from reports import CHOICES, REPORTS
from sweeps import EQUAL_SETTINGS, HALF_WORSE, NAMED_BASELINE, POWER, UNEQUAL_NOISE, Cell, tables

from microgpt_lab.report.comparison import compare

RESULTS = Path(__file__).with_name("results.json")
CELLS = list(dict.fromkeys([*EQUAL_SETTINGS, *UNEQUAL_NOISE, *HALF_WORSE, *NAMED_BASELINE, *POWER]))
ALL = [*CELLS, *REPORTS, *CHOICES]


def simulate(cell: Cell | str) -> tuple[str, dict[str, float]]:
    """Simulate a cell and return its name with percentages.

    `false`: sweeps with a false claim. `hold`: sweeps whose intervals all contain the true gaps. `told`:
    worse settings that are claimed to be worse. There are 10,000 sweeps if these are quick and close to their
    bound (few seeds, looks), otherwise 2,000.
    """
    if cell in CHOICES:
        wrong, told = CHOICES[cell](2000)
        return cell, {"false": 100 * wrong, "told": 100 * told}
    if isinstance(cell, str):
        return cell, {"false": 100 * REPORTS[cell](10_000 if cell.startswith("looks") else 2000)}
    count = 10_000 if cell.seeds <= 5 else 2000
    wrong = covered = told = worse = 0
    figures, means = tables(cell, count)
    for table in figures:
        found = compare(table, 0 if cell.baseline else None)
        if found is None:
            continue
        true = means - means[found.reference]
        wrong += (found.significant & (found.gap * true <= 0)).any()
        missed = (found.low > true + 1e-12) | (found.high < true - 1e-12)
        covered += not missed.any()
        told += (found.significant & (found.gap * true > 0) & (true > 0)).sum()
        worse += (true > 0).sum()
    known = {"false": 100 * wrong / count} | ({"hold": 100 * covered / count} if cell.seeds > 2 else {})
    return str(cell), known | ({"told": 100 * told / worse} if worse else {})


def simulate_all(cells: list[Cell | str]) -> dict[str, dict[str, float]]:
    with ProcessPoolExecutor() as pool:
        found = pool.map(simulate, cells)
        return {name: {key: round(float(x), 2) for key, x in figures.items()} for name, figures in found}
