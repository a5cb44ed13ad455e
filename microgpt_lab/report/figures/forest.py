"""Draw each setting's gap to the reference, with its interval and a dot for each seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgpt_lab.report.analysis import Analysis, Row
from microgpt_lab.report.figures.style import (
    BETTER,
    GRID,
    INK,
    OPEN,
    WORSE,
    as_svg,
    label,
    logarithmic,
    new_figure,
)

MOST_ROWS = 60


def forest(analysis: Analysis) -> str:
    """Draw a row per setting: its gap to the reference, the interval of the gap, and a dot per seed.

    A seed has the same height in every row, so that a reader can follow it. '' for a single row.
    """
    rows = analysis.compared[:MOST_ROWS]
    reference = analysis.reference
    if len(rows) < 2 or reference is None:
        return ""
    table = analysis.sign * analysis.table()
    gaps = table - table[:, [reference.column]]  # (seeds, settings)
    figure, axes = new_figure(8.5, 0.9 + 0.3 * len(rows))
    heights = np.linspace(-0.3, 0.3, len(gaps)) if len(gaps) > 1 else np.zeros(1)
    for position, row in enumerate(rows):
        if row is reference:
            axes.plot(0, position, "D", color=INK, markersize=5, zorder=3)
            continue
        color = OPEN if not row.significant else WORSE if (row.gap or 0) > 0 else BETTER
        axes.plot(
            gaps[:, row.column], position + heights, ".", color=color, alpha=0.7, markersize=5, zorder=4
        )
        if row.low is not None:
            axes.plot([row.low, row.high], [position, position], color=color, linewidth=2.2, alpha=0.8)
        axes.plot(gaps[:, row.column].mean(), position, "o", color=color, markersize=5.5, zorder=3)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [label(row) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    scale_gaps(axes, rows, gaps)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    prefix = f"{analysis.keys[0]}: " if len(analysis.keys) == 1 else ""
    axes.set_xlabel(
        f"{prefix}gap to {analysis.reference_name} in {analysis.question.metric}; to the right is worse"
    )
    return as_svg(figure)


def scale_gaps(axes: Any, rows: list[Row], gaps: Any) -> None:
    """Make the axis logarithmic for large gaps if a linear axis would hide the small ones."""
    widths = [row.high - row.low for row in rows if row.low is not None and row.high is not None]
    if widths and np.abs(gaps).max() > 40 * np.median(widths):
        limit = float(np.median(widths))
        logarithmic(axes, "x", limit)
        axes.axvspan(-limit, limit, color=GRID, alpha=0.35, linewidth=0)
        axes.text(
            0.99, 1.0, "linear in the shaded part, logarithmic beyond",
            transform=axes.transAxes, ha="right", va="bottom", fontsize=8,
        )  # fmt: skip
