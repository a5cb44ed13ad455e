"""`report` makes a false claim in about one of twenty sweeps, and detects enough of the true gaps.

The figures are in results.json. `python tests/simulation` computes them again.
"""

import json
from pathlib import Path

import pytest

pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")
pytest.importorskip("pandas", reason="needs microgpt-lab[report]")

from reports import CHOICES
from simulate import ALL, CELLS, POWER, REPORTS, RESULTS, simulate, simulate_all
from table import table

DOCS = Path(__file__).parents[2] / "docs" / "reports.md"
COMMITTED = json.loads(RESULTS.read_text())
EQUAL = [c for c in CELLS if c.equal_noise]
UNEQUAL = [c for c in CELLS if not c.equal_noise and not c.baseline]
BOUND = {3: 9.5, 4: 8.0}  # 7 from 5 seeds on, if the noise differs very much between settings


def bound(cell):
    return 6.5 if cell.equal_noise or cell.baseline else BOUND.get(cell.seeds, 7.0)


def assert_bounds(results):
    assert {cell for cell in CELLS if results[str(cell)]["false"] > bound(cell)} == set()
    weak = {cell for cell, percent in POWER.items() if results[str(cell)]["told"] < percent - 2}
    assert weak == set()  # 2: two standard errors of figures from 2,000 sweeps each
    reports = {name: results[name]["false"] for name in (*REPORTS, *CHOICES) if not name.startswith("looks")}
    assert {name for name, percent in reports.items() if percent > 6.5} == set()


def test_the_committed_figures_are_within_their_bounds():
    assert set(COMMITTED) == {*map(str, ALL)}
    assert_bounds(COMMITTED)


@pytest.mark.thorough
@pytest.mark.parametrize("cell", [pytest.param(EQUAL[7], marks=pytest.mark.slow), UNEQUAL[2]], ids=str)
def test_the_code_reproduces_the_committed_figures(cell):
    assert dict([simulate(cell)]) == {str(cell): pytest.approx(COMMITTED[str(cell)], abs=0.3)}


@pytest.mark.slow
def test_all_figures_are_reproduced():
    results = simulate_all(ALL)
    assert_bounds(results)
    for name, figures in results.items():
        assert figures == pytest.approx(COMMITTED[name], abs=0.5), name


def test_the_documented_table_has_the_committed_figures():
    assert table(COMMITTED) in DOCS.read_text(encoding="utf-8")
