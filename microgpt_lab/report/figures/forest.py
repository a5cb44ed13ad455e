"""Draw each setting's gap to the reference, with its interval and the gaps of its seeds."""

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
MOST_DOTS = 30  # of a row; with more seeds, bars show where their gaps are
SHARES = (90, 50)  # of the seeds, in %, for each bar


def forest(analysis: Analysis) -> str:
    """Draw a row per setting: its gap to the reference, the interval of the gap, and the gaps of its seeds.

    Up to MOST_DOTS seeds have a dot each, at the same height in every row, so that a reader can follow a
    seed. Of more seeds, bars show the central 50 % and 90 %. '' for a single row.
    """
    rows = analysis.compared[:MOST_ROWS]
    reference = analysis.reference
    if len(rows) < 2 or reference is None:
        return ""
    table = analysis.sign * analysis.table()
    gaps = table - table[:, [reference.column]]  # (seeds, settings)
    figure, axes = new_figure(8.5, 0.9 + 0.3 * len(rows))
    for position, row in enumerate(rows):
        if row is reference:
            axes.plot(0, position, "D", color=INK, markersize=5, zorder=3)
            continue
        color = OPEN if not row.significant else WORSE if (row.gap or 0) > 0 else BETTER
        draw_seeds(axes, gaps[:, row.column], position, color)
        if row.low is not None:
            axes.plot([row.low, row.high], [position, position], color=color, linewidth=2.2, alpha=0.8)
        axes.plot(gaps[:, row.column].mean(), position, "o", color=color, markersize=5.5, zorder=3)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [label(row, analysis.chosen, lines=2) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    scale_gaps(axes, rows, gaps)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    prefix = f"{analysis.keys[0]}: " if len(analysis.keys) == 1 else ""
    axes.set_xlabel(
        f"{prefix}gap to {analysis.reference_name} in {analysis.question.metric}; to the right is worse"
    )
    return as_svg(figure)


def draw_seeds(axes: Any, gaps: Any, position: int, color: str) -> None:
    if len(gaps) <= MOST_DOTS:
        heights = np.linspace(-0.3, 0.3, len(gaps)) if len(gaps) > 1 else np.zeros(1)
        axes.plot(gaps, position + heights, ".", color=color, alpha=0.7, markersize=5, zorder=4)
        return
    for share in SHARES:
        low, high = np.percentile(gaps, (50 - share / 2, 50 + share / 2))
        axes.barh(position, high - low, 0.5, low, color=color, alpha=0.22, linewidth=0, zorder=1.5)


def seeds_shown(analysis: Analysis) -> str:
    """What `forest` shows of the seeds, for its caption."""
    if int(analysis.aligned.seeds.sum()) > MOST_DOTS:
        return "bars with the central 50 % and 90 % of its seeds"
    return "a dot for each seed, at the same height in every row"


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
