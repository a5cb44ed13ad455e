"""Draw the gaps of all pairs of settings as a matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microgpt_lab.report.analysis import Row
from microgpt_lab.report.figures.style import WORSE, as_svg, label, new_figure, shade
from microgpt_lab.report.pairs import Pairs
from microgpt_lab.report.wording import amount

MOST_PAIRED, MOST_WITH_INTERVALS = 18, 10  # settings
LONGEST_LABEL = 9  # characters; with longer labels, columns have only the numbers of their rows


def draw_pairs(pairs: Pairs, rows: list[Row], digits: int, chosen: Sequence[str] = ()) -> str:
    """Draw a cell for each pair, rows and columns from best to worst: by how much the row is worse.

    A claimed gap is red, the deeper the larger, and its text is bold. `chosen`: see `label`.
    """
    rows = rows[:MOST_PAIRED]
    order = np.array([row.column for row in rows])
    gap, low, high, claimed = (
        getattr(pairs, name)[np.ix_(order, order)] for name in ("gap", "low", "high", "significant")
    )
    count, with_interval = len(rows), len(rows) <= MOST_WITH_INTERVALS
    width, height = (1.25, 0.5) if with_interval else (0.55, 0.3)
    names = [label(row, chosen, lines=2) for row in rows]
    longest = max(len(line) for name in names for line in name.split("\n"))
    figure, axes = new_figure(0.5 + 0.075 * longest + width * (count - 1), 0.6 + height * (count - 1))
    largest = max(gap[claimed].max(), 1e-300) if claimed.any() else 1.0
    for i in range(1, count):
        for j in range(i):
            strength = 0.12 + 0.43 * gap[i, j] / largest if claimed[i, j] else 0.0
            axes.add_patch(shade(j, i, WORSE, strength))
            axes.text(
                j, i - 0.16 * with_interval, f"{amount(gap[i, j], digits)}",
                ha="center", va="center", fontsize=9 if with_interval else 8,
                fontweight="bold" if claimed[i, j] else "normal",
            )  # fmt: skip
            if with_interval:
                interval = f"{amount(low[i, j], digits)} to {amount(high[i, j], digits)}".replace("-", "−")
                axes.text(j, i + 0.22, interval, ha="center", va="center", fontsize=7.5)
    numbered = longest > LONGEST_LABEL
    axes.set_xticks(range(count - 1), [f"({i})" for i in range(1, count)] if numbered else names[:-1])
    axes.set_yticks(
        range(1, count),
        [f"{name} ({i})" if numbered else name for i, name in enumerate(names, start=1)][1:],
    )
    if numbered:
        axes.set_title(f"(1): {label(rows[0], chosen)}", loc="left", fontsize=9)
    axes.set_xlim(-0.5, count - 1.5)
    axes.set_ylim(count - 0.5, 0.5)
    axes.spines[:].set_visible(False)
    return as_svg(figure)
