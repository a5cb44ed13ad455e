"""Draw a metric over parameters, FLOPs, seconds or a swept key, with bands and fitted power laws."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgpt_lab.report.figures.style import GRID, as_svg, new_figure, short_name, shortened
from microgpt_lab.report.powerlaw import Law
from microgpt_lab.report.scaling import Line, Scaling

# Okabe & Ito (2008), without black and yellow, which a page in dark or light mode hides.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = "osD^vP"
MOST_LINES = len(COLORS)
SPREAD = 8  # an axis whose values span a larger factor is logarithmic
UNITS = ((1e15, "10¹⁵"), (1e12, "10¹²"), (1e9, "billions"), (1e6, "millions"))
NAMES = {"parameters": "parameters", "flops": "FLOPs of training", "seconds": "seconds of a run"}


def draw_scaling(scaling: Scaling, metric: str) -> str:
    """Draw each line: means over seeds, the 95 % interval of each mean as a band or bar, its law dashed."""
    lines = scaling.lines[:MOST_LINES]
    values = np.concatenate([line.x for line in lines])
    unit, unit_name = next((u for u in UNITS if values.max() >= 10 * u[0]), (1.0, ""))
    figure, axes = new_figure(6.2, 3.6 + 0.18 * len(lines))
    for line, color, marker in zip(lines, COLORS, MARKERS):
        connect = len(scaling.along) < 2 and len(set(line.x)) == len(line.x)
        draw_line(axes, line, unit, color, marker, connect=connect)
    scale_axis(axes, "x", values / unit)
    scale_axis(axes, "y", np.concatenate([line.mean for line in lines]))
    axes.set_xlabel(NAMES.get(scaling.x, scaling.x) + (f", in {unit_name}" if unit_name else ""))
    axes.set_title(f"{metric}, mean over seeds", loc="left", fontsize=9)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    if len(lines) > 1 or legend(lines[0]):
        figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=8.5)
    return as_svg(figure)


def draw_line(axes: Any, line: Line, unit: float, color: str, marker: str, *, connect: bool) -> None:
    x, mean, half = line.x / unit, line.mean, line.half_width
    style = "-" if connect and not isinstance(line.law, Law) else "none"
    axes.plot(x, mean, marker, linestyle=style, color=color, markersize=5, linewidth=1.4, label=legend(line))
    if isinstance(line.law, Law):
        grid = np.geomspace(line.x.min(), line.x.max(), 100)
        axes.plot(grid / unit, line.law(grid), "--", color=color, linewidth=1.3)
    if half is not None and style == "-" and len(x) > 1:  # a straight band would not contain a curved law
        axes.fill_between(x, mean - half, mean + half, color=color, alpha=0.18, linewidth=0)
    elif half is not None:
        axes.errorbar(x, mean, half, fmt="none", color=color, linewidth=1.2)


def legend(line: Line) -> str:
    """The setting of a line and its exponent: 'gelu: b = 0.52 (0.41 to 0.66)'."""
    name = shortened(line_name(line))
    if not isinstance(line.law, Law):
        return name
    exponent, low, high = (f"{b:#.2g}" for b in (line.law.exponent, *line.law.interval))
    fitted = f"b = {exponent} ({low} to {high})" + ("" if line.law.floor_interval else ", without L∞")
    return f"{name}: {fitted}" if name else fitted


def line_name(line: Line) -> str:
    """The setting of a line: 'gelu', or with the name of its key if the value is no text: 'layers=2'."""
    name = short_name(line.keys)
    (key, value), *others = line.keys.items() or [("", "")]
    return name if others or isinstance(value, str) else f"{key}={name}"


def scale_axis(axes: Any, which: str, values: Any) -> None:
    """Make an axis logarithmic if its values span a factor above SPREAD, with ticks in plain digits."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis = getattr(axes, f"{which}axis")
    if values.min() > 0 and values.max() / values.min() > SPREAD:
        decades = np.log10(values.max() / values.min())
        getattr(axes, f"set_{which}scale")("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1, 3) if decades < 4 else (1,)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    else:
        axes.ticklabel_format(axis=which, style="plain", useOffset=False)
