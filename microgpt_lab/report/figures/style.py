"""The look of the figures: colours, names of settings, logarithmic axes, and SVG.

Text is stored as text, and colours are CSS variables, so that one file works in light and dark mode.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from microgpt_lab.report.analysis import Row
from microgpt_lab.sweeps.changes import CHANGE

INK, GRID = "#24292f", "#d8dee4"
WORSE, BETTER, OPEN = "#d1495b", "#2a9d8f", "#6e8bb0"
WIDEST = 46  # characters of a line of a name
STYLE = f"""<style>
:root {{ --ink: {INK}; --grid: {GRID}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #d7dde3; --grid: #3b434b; }} }}
</style>"""


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    import matplotlib
    from matplotlib.figure import Figure  # not pyplot, which would draw in the reader's notebook too

    matplotlib.rcParams |= {
        "svg.hashsalt": "report",
        "svg.fonttype": "none",
        "text.parse_math": False,  # a value may hold a $
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.edgecolor": GRID,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    }
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(ncols=columns, squeeze=False)
    for each in axes[0]:
        each.spines[["top", "right", "left"]].set_visible(False)
        each.tick_params(length=0)
    return figure, axes[0] if columns > 1 else axes[0, 0]


def as_svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = re.sub(INK, f"var(--ink, {INK})", svg)
    svg = re.sub(GRID, f"var(--grid, {GRID})", svg)
    start = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:start]}\n{STYLE}{svg[start:]}"


def label(row: Row, chosen: Sequence[str] = (), lines: int = 1) -> str:
    """The name of a row in a figure, `shortened` to some lines and without the values that were chosen."""
    keys = {key: value for key, value in row.setting.keys.items() if key not in chosen}
    return shortened(short_name(keys or row.setting.keys) or row.setting.name, lines)


def shortened(name: str, lines: int = 1) -> str:
    """A name in at most so many lines. The table of the report has all of it."""
    wrapped = textwrap.wrap(name, WIDEST, max_lines=lines, placeholder=" …", break_on_hyphens=False)
    return "\n".join(wrapped)


def short_name(keys: dict[str, Any]) -> str:
    """The name of a setting, with `window` for attention.window; of a single key and changes, only values."""
    if len(keys) == 1:
        return str(*keys.values())
    ends = Counter(key.rpartition(".")[2] for key in keys)
    short = {key: end if ends[end := key.rpartition(".")[2]] == 1 else key for key in keys}
    return ", ".join(str(value) if key == CHANGE else f"{short[key]}={value}" for key, value in keys.items())


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


def shade(x: float, y: float, color: str, strength: float, *, edge: str = GRID, **how: Any) -> Any:
    """A cell of a matrix at (x, y). Its colour is translucent, so that text has contrast in both modes."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    how = {"linewidth": 0.8, "zorder": 1 if edge == GRID else 2} | how
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=to_rgba(color, strength), edgecolor=edge, **how)
