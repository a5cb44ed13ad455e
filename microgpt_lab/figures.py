"""Curves with bands, as SVG."""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path

from microgpt_lab.comparison import Group, interval
from microgpt_lab.results import curve


def curves(groups: list[Group], sweep: Path, metric: str) -> str:
    """The mean of each group at each step that all its runs have, and a 95 % t-interval; '' without any."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "report", "font.family": "DejaVu Sans", "font.size": 9}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8.5, 4.2), layout="constrained")
    drawn: list[list[float]] = []
    for group in groups:
        points = defaultdict(list)
        for folder in group.folders:
            for step, value in curve(sweep / folder, metric).items():
                points[step].append(value)
        steps = sorted(step for step, values in points.items() if len(values) == len(group.folders))
        if len(steps) < 2:
            continue
        bands = [interval(points[step]) for step in steps]
        means = [mean for mean, _ in bands]
        (line,) = axes.plot(steps, means, label=group.name, linewidth=1.4)
        low, high = [mean - width for mean, width in bands], [mean + width for mean, width in bands]
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        drawn.append(means)
    if not drawn:
        return ""
    later = [mean for means in drawn for mean in means[len(means) // 5 :]]  # without the first descent
    margin = 0.05 * (max(later) - min(later)) or 0.01
    axes.set_ylim(min(map(min, drawn)) - margin, max(later) + margin)
    axes.set_xlabel("step")
    axes.set_ylabel(metric)
    axes.grid(axis="y", color="#ddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for text in figure.legend(loc="outside right upper", frameon=False).get_texts():
        text.set_parse_math(False)  # a value may hold a $
    svg = io.StringIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return svg.getvalue()
