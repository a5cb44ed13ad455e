"""Draw curves over steps: means over seeds, and gaps to the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microgpt_lab.report.analysis import Analysis
from microgpt_lab.report.comparison import FEWEST, against
from microgpt_lab.report.figures.style import GRID, as_svg, label, logarithmic, new_figure
from microgpt_lab.sweeps.table import curve

GAP = "gap to {}, 95 % at each step"
MOST_CURVES, FEWEST_POINTS = 6, 10


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
    names = [label(row, analysis.chosen) for row in rows]
    for row, name in zip(rows, names):
        left.plot(steps, tables[:, :, row.column].mean(1), linewidth=1.4, label=name)
    columns = np.array([row.column for row in rows])
    drawn = tables[:, :, columns]
    if drawn.min() > 0 and drawn.max() > 40 * np.median(drawn):
        logarithmic(left, "y", float(drawn.min()))  # one exploded curve would flatten all others
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
        gaps = np.abs([c.gap[columns] for c in comparisons])
        if gaps.max() > 40 * np.median(gaps) > 0:
            logarithmic(right, "y", float(np.median(gaps)))
        title = right.set_title(GAP.format(label(reference, analysis.chosen)), loc="left", fontsize=9)
    for each in (left, right) if right is not None else (left,):
        each.set_xlabel("step")
        each.grid(axis="y", color=GRID, linewidth=0.6)
    fitting = int(14 * figure.get_figwidth()) // (max(map(len, names)) + 8)
    ncols = max(1, min(3, len(rows), fitting))
    figure.legend(loc="outside lower center", ncols=ncols, frameon=False, fontsize=8)
    figure.draw_without_rendering()  # lays the axes out
    if title and title.get_window_extent().x1 > figure.bbox.x1:
        title.set_text(GAP.format(analysis.reference_name))
    return as_svg(figure)


def by_step(analysis: Analysis, sweep: Path, metric: str) -> tuple[list[int], Any]:
    """Return the steps that all compared runs have, and the metric at them: (steps, seeds, settings).

    Empty if they have fewer than FEWEST_POINTS in common, so that not all runs are read in vain.
    """
    aligned, runs = analysis.aligned, analysis.runs
    compared = {
        cell: folders
        for cell, folders in runs.folders.items()
        if aligned.settings[cell[0]] and aligned.combinations[cell[1]] and aligned.seeds[cell[2]]
    }
    points: dict[str, dict[int, float]] = {}
    common: set[int] | None = None
    for folder in (folder for folders in compared.values() for folder in folders):
        points[folder] = binned(curve(sweep / folder, metric))
        common = set(points[folder]) if common is None else common.intersection(points[folder])
        if len(common) < FEWEST_POINTS:
            return [], np.zeros((0, int(aligned.seeds.sum()), int(aligned.settings.sum())))
    steps = sorted(common or ())
    values = np.full((len(steps), *runs.values.shape), np.nan)
    for cell, folders in compared.items():
        of_runs = [[points[folder][step] for step in steps] for folder in folders]
        values[(slice(None), *cell)] = np.mean(of_runs, 0)
    return steps, np.array([aligned.table(v) for v in values])


def binned(points: dict[int, float], most: int = 50) -> dict[int, float]:
    """Average a curve over at most `most` equal intervals of its steps; each mean stands at the last step."""
    if len(points) <= most:
        return points
    steps = np.array(sorted(points))
    values = np.array([points[step] for step in steps.tolist()])
    small, larger = divmod(len(steps), most)  # the first intervals have one point more, as in array_split
    cut = larger * (small + 1)
    means = [values[:cut].reshape(larger, small + 1).mean(1), values[cut:].reshape(-1, small).mean(1)]
    lasts = [steps[:cut].reshape(larger, small + 1)[:, -1], steps[cut:].reshape(-1, small)[:, -1]]
    return dict(zip(np.concatenate(lasts).tolist(), np.concatenate(means).tolist()))
