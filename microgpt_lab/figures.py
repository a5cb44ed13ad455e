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
    for group in groups:
        points = defaultdict(list)
        for folder in group.folders:
            for step, value in curve(sweep / folder, metric).items():
                points[step].append(value)
        steps = sorted(step for step, values in points.items() if len(values) == len(group.folders))
        if len(steps) < 2:
            continue
        means, widths = zip(*(interval(points[step]) for step in steps))
        (line,) = axes.plot(steps, means, label=group.name, linewidth=1.4)
        low = [mean - width for mean, width in zip(means, widths)]
        high = [mean + width for mean, width in zip(means, widths)]
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    drawn = bool(axes.lines)
    if drawn:
        ends = [line.get_ydata() for line in axes.lines]
        last = [y[-1] for y in ends]
        later = [value for y in ends for value in y[len(y) // 5 :]]
        margin = 0.05 * (max(later) - min(last)) or 0.01
        axes.set_ylim(min(min(y) for y in ends) - margin, max(later) + margin)
        axes.set_xlabel("step")
        axes.set_ylabel(metric)
        axes.grid(axis="y", color="#ddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right upper", frameon=False)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return text.getvalue() if drawn else ""
