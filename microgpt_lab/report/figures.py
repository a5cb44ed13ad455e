"""Draw the figures of a report as SVG: gaps with their intervals, and curves over steps.

Text is stored as text, and colours are CSS variables, so that one file works in light and dark mode.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from microgpt_lab.report.analysis import Analysis, Row
from microgpt_lab.report.comparison import FEWEST, against
from microgpt_lab.sweeps.table import curve

INK, GRID = "#24292f", "#d8dee4"
WORSE, BETTER, OPEN = "#d1495b", "#2a9d8f", "#6e8bb0"
GAP = "gap to {}, 95 % at each step"
MOST_ROWS, MOST_CURVES, FEWEST_POINTS = 60, 6, 10
STYLE = f"""<style>
:root {{ --ink: {INK}; --grid: {GRID}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #d7dde3; --grid: #3b434b; }} }}
</style>"""


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {
        "svg.hashsalt": "report",
        "svg.fonttype": "none",
        "text.parse_math": False,  # a value may hold a $
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.edgecolor": GRID,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    }
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        ncols=columns, figsize=(width, height), layout="constrained", squeeze=False
    )
    for each in axes[0]:
        each.spines[["top", "right", "left"]].set_visible(False)
        each.tick_params(length=0)
    return figure, axes[0] if columns > 1 else axes[0, 0]


def as_svg(figure: Any) -> str:
    from matplotlib import pyplot

    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    svg = text.getvalue()
    svg = re.sub(INK, f"var(--ink, {INK})", svg)
    svg = re.sub(GRID, f"var(--grid, {GRID})", svg)
    start = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:start]}\n{STYLE}{svg[start:]}"


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


def label(row: Row) -> str:
    """The name of the setting, with `window` for attention.window; with a single key, only its value."""
    keys = row.setting.keys
    if len(keys) == 1:
        return str(*keys.values())
    ends = Counter(key.rpartition(".")[2] for key in keys)
    short = {key: end if ends[end := key.rpartition(".")[2]] == 1 else key for key in keys}
    return ", ".join(f"{short[key]}={value}" for key, value in keys.items()) or row.setting.name


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


def logarithmic(axes: Any, which: str, limit: float) -> None:
    """Make the x or y axis linear up to `limit` and logarithmic beyond, with few ticks in plain digits."""
    from matplotlib.ticker import NullLocator, SymmetricalLogLocator

    getattr(axes, f"set_{which}scale")("symlog", linthresh=limit, linscale=1.5)
    axis = getattr(axes, f"{which}axis")
    locator = SymmetricalLogLocator(base=10, linthresh=limit)
    locator.set_params(numticks=7)
    axis.set_major_locator(locator)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def curves(analysis: Analysis, sweep: Path) -> str:
    """Draw means over seeds by step, and gaps to the reference with their intervals at each step.

    If the metric has fewer than ten points, the cross-entropy in training is drawn instead, which compares
    runs that minimize different losses, but not different tokenizers. '' if there are fewer points too.
    """
    for metric in (analysis.question.metric, *(["loss/ce"] if analysis.same_tokenizer else [])):
        steps, tables = by_step(analysis, sweep, metric)
        if len(steps) >= FEWEST_POINTS:
            break
    else:
        return ""
    rows, reference = analysis.compared[:MOST_CURVES], analysis.reference
    assert reference is not None and reference.column is not None
    paired = len(analysis.rows) > 1 and tables.shape[1] >= FEWEST
    figure, axes = new_figure(8.5 if paired else 6, 3.6, columns=2 if paired else 1)
    left, right = axes if paired else (axes, None)
    title: Any = None
    for row in rows:
        left.plot(steps, tables[:, :, row.column].mean(1), linewidth=1.4, label=label(row))
    if tables.min() > 0 and tables.max() > 40 * np.median(tables):
        logarithmic(left, "y", float(tables.min()))  # one exploded curve would flatten all others
    shown = "cross-entropy in training" if metric == "loss/ce" else metric
    left.set_title(f"{shown}, mean over seeds", loc="left", fontsize=9)
    if right is not None:
        family = analysis.comparison.family if analysis.comparison else len(rows)
        has_baseline = analysis.baseline is not None
        comparisons = [
            against(analysis.sign * table, reference.column, has_baseline=has_baseline, family=family)
            for table in tables
        ]
        for row in rows:
            low, high = ([getattr(c, end)[row.column] for c in comparisons] for end in ("low", "high"))
            (line,) = right.plot(steps, [c.gap[row.column] for c in comparisons], linewidth=1.4)
            right.fill_between(steps, low, high, color=line.get_color(), alpha=0.1, linewidth=0)
        gaps = np.abs([c.gap for c in comparisons])
        if gaps.max() > 40 * np.median(gaps) > 0:
            logarithmic(right, "y", float(np.median(gaps)))
        title = right.set_title(GAP.format(label(reference)), loc="left", fontsize=9)
    for each in (left, right) if right is not None else (left,):
        each.set_xlabel("step")
        each.grid(axis="y", color=GRID, linewidth=0.6)
    fitting = int(14 * figure.get_figwidth()) // (max(len(label(row)) for row in rows) + 8)
    columns = max(1, min(3, len(rows), fitting))
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    figure.draw_without_rendering()  # lays the axes out
    if title and title.get_window_extent().x1 > figure.bbox.x1:
        title.set_text(GAP.format(analysis.reference_name))
    return as_svg(figure)


def by_step(analysis: Analysis, sweep: Path, metric: str) -> tuple[list[int], Any]:
    """Return the steps that all compared runs have, and the metric at them: (steps, seeds, settings)."""
    aligned, runs = analysis.aligned, analysis.runs
    points: dict[str, dict[int, float]] = {}
    for cell, folders in runs.folders.items():
        if aligned.settings[cell[0]] and aligned.combinations[cell[1]] and aligned.seeds[cell[2]]:
            for folder in folders:
                points[folder] = binned(curve(sweep / folder, metric))
    steps = sorted(set.intersection(*map(set, points.values()))) if points else []
    values = np.full((len(steps), *runs.values.shape), np.nan)
    for cell, folders in runs.folders.items():
        compared = [points[folder] for folder in folders if folder in points]
        if compared:
            values[(slice(None), *cell)] = [np.mean([run[step] for run in compared]) for step in steps]
    return steps, np.array([aligned.table(v) for v in values])


def binned(points: dict[int, float], most: int = 50) -> dict[int, float]:
    """Average a curve over at most `most` equal intervals of its steps; each mean stands at the last step."""
    if len(points) <= most:
        return points
    bins = np.array_split(np.array(sorted(points)), most)
    return {int(steps[-1]): float(np.mean([points[int(step)] for step in steps])) for steps in bins}
