"""Draw the means over two compared keys as a heat map."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgpt_lab.report.analysis import Analysis, Row
from microgpt_lab.report.choice import without
from microgpt_lab.report.figures.style import INK, as_svg, new_figure, shade
from microgpt_lab.report.wording import amount, decimals

FEWEST_VALUES, MOST_VALUES = 3, 24  # of a key
COLOR = "#0072b2"


def draw_heatmap(analysis: Analysis) -> str:
    """Draw a cell for each setting of two keys; '' unless both have three values or more, and are numbers.

    With --by, values may be text. A deeper colour is better. The best cell (or the baseline) has a frame, a
    cell that cannot be distinguished from it a dot, and a cell with failed runs is hatched.
    """
    compared = without(analysis.keys, analysis.chosen)
    if len(compared) != 2 or analysis.reference is None:
        return ""
    values = [distinct(analysis.rows, key) for key in compared]
    numeric = all(isinstance(value, (int, float)) for several in values for value in several)
    if not all(FEWEST_VALUES <= len(several) <= MOST_VALUES for several in values):
        return ""
    if not numeric and not analysis.question.by:
        return ""
    down, across = (0, 1) if len(values[0]) <= len(values[1]) else (1, 0)
    rows, columns = values[down], values[across]
    longest = max(len(str(value)) for value in rows)
    figure, axes = new_figure(0.7 + 0.075 * longest + 0.82 * len(columns), 0.75 + 0.42 * len(rows))
    strength = strengths(analysis)
    for row in analysis.rows:
        keys = [row.setting.keys[key] for key in compared]
        place = columns.index(keys[across]), rows.index(keys[down])
        draw_cell(axes, analysis, row, place, strength.get(row.index, 0.0))
    axes.set_xticks(range(len(columns)), map(str, columns))
    axes.set_yticks(range(len(rows)), map(str, rows))
    axes.set_xlabel(compared[across])
    axes.set_ylabel(compared[down])
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.spines[:].set_visible(False)
    return as_svg(figure)


def distinct(rows: list[Row], key: str) -> list[Any]:
    """The values of a key: numbers in ascending order, others in the order of the runs."""
    values = list(dict.fromkeys(row.setting.keys[key] for row in sorted(rows, key=lambda row: row.index)))
    numbers = all(isinstance(value, (int, float)) for value in values)
    return sorted(values) if numbers else values


def strengths(analysis: Analysis) -> dict[int, float]:
    """The depth of each compared cell's colour, by its setting: from 0.6 of the best mean down to 0.04.

    Linear in the mean, up to three times the median gap to the best: a setting that exploded is as pale as
    one that is merely bad.
    """
    rows = analysis.compared
    means = analysis.sign * np.array([row.mean for row in rows])
    gaps = means - means.min()
    furthest = min(gaps.max(), 3 * float(np.median(gaps))) or gaps.max() or 1.0
    return {row.index: 0.6 - 0.56 * min(1.0, gap / furthest) for row, gap in zip(rows, gaps)}


def draw_cell(axes: Any, analysis: Analysis, row: Row, place: tuple[int, int], strength: float) -> None:
    if row.column is None:
        axes.add_patch(shade(*place, COLOR, 0.0, hatch="////" if row.setting.failed else ""))
        axes.text(*place, "" if row.setting.failed else "–", ha="center", va="center")
        return
    axes.add_patch(shade(*place, COLOR, strength))
    is_reference, mean = row is analysis.reference, amount(row.mean or 0.0, digits(analysis))
    unclear = analysis.comparison and not row.significant and not is_reference
    weight = "bold" if is_reference else "normal"
    axes.text(*place, f"{mean} •" if unclear else mean, ha="center", va="center", fontweight=weight)
    if is_reference:
        axes.add_patch(shade(*place, COLOR, 0.0, edge=INK, linewidth=1.8))


def digits(analysis: Analysis) -> int:
    return min(4, decimals(analysis.comparison)) if analysis.comparison else 4
