"""Show what rich renders in a notebook: the same text and colours as in a terminal. Tables and bars.

Of a large model, a terminal shows what matters most and counts the rest; a view holds all of it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

PRE = (
    '<pre style="line-height: 1.35; overflow-x: auto; white-space: pre; font-family: monospace">{code}</pre>'
)
SHADES, EIGHTHS = " ░▒▓█", " ▏▎▍▌▋▊▉"
LEAST = 0.02, 0.25, 0.5, 0.75  # the least weight that each shade stands for
MOST_ROWS = 24  # of a table of the model's parts
MORE = "--html shows more"  # how to see what is left out
T = TypeVar("T")


class View:
    """Base class of views: dataclasses of plain numbers with a method `__rich__`. It is their repr, too."""

    def __repr__(self) -> str:
        return to_text(self)

    def _repr_html_(self) -> str:
        return to_html(self)


class Views(list[T]):
    """A list of views of one class, shown together by the static method `together` of the class."""

    def __rich__(self) -> Any:
        return type(self[0]).together(self) if self else ""  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return to_text(self)

    def _repr_html_(self) -> str:
        return to_html(self)


@dataclass(frozen=True)
class Fitted:
    """What depends on the width: `make(columns)` returns it."""

    make: Callable[[int], Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.make(options.max_width)


def foremost(items: Sequence[T], size: Callable[[T], float], most: int) -> list[T]:
    """Return the `most` items of the largest sizes, in the order in which they stand."""
    order = sorted(range(len(items)), key=lambda i: -size(items[i]))
    return [items[i] for i in sorted(order[:most])]


def to_html(renderable: Any, width: int = 120) -> str:
    """Return what a terminal of `width` columns would show, as HTML."""
    return recorded(renderable, width).export_html(inline_styles=True, code_format=PRE)


def to_text(renderable: Any, width: int = 80) -> str:
    """Return what a terminal of `width` columns would show, as plain text."""
    lines = recorded(renderable, width).export_text().splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def recorded(renderable: Any, width: int) -> Console:
    """Return a console that has printed something into its memory only."""
    sink = io.StringIO()  # not Jupyter, which would display it, too
    console = Console(record=True, file=sink, width=width, highlight=False, emoji=False, force_jupyter=False)
    console.print(renderable)
    return console


def number(x: float | None, digits: int = 4) -> str:
    """Format a number with four digits, and what is not known as a dash."""
    return "–" if x is None else f"{x:.{digits}g}"


def in_unit(rows: Iterable[Sequence[float]]) -> tuple[str, list[list[str]]]:
    """Format numbers so that the largest has four digits, in a unit that is returned with them.

    The unit is "in units of 1e-05", say, or "".
    """
    rows = list(rows)
    largest = max((abs(x) for row in rows for x in row if math.isfinite(x)), default=0.0)
    power = math.floor(math.log10(largest)) if largest else 0
    unit, decimals = (1.0, max(0, 3 - power)) if -3 <= power < 6 else (10.0**power, 3)

    def text(x: float) -> str:
        rounded = f"{x / unit:.{decimals}f}"
        return rounded if float(rounded) else f"{x / unit:.0e}" if x else "0"

    return "" if unit == 1 else f"in units of {unit:.0e}", [[text(x) for x in row] for row in rows]


def titled(title: str, *columns: str) -> Table:
    """Return a table whose first column is text, and whose others are numbers, or names, aligned right."""
    heading = Text(f"\n{title}", "bold") if title else None
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(Text(column, "dim"), justify="right" if i else "left", no_wrap=True)
    return table


def add(table: Table, *cells: str | Text, style: str = "") -> None:
    """Add a row of plain text, in which rich reads no markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), style=style)


def signed(x: float, digits: int = 2) -> Text:
    """Format a number with its sign, in blue or red, and what rounds to 0 as a pale 0."""
    if abs(x) < 0.5 * 10**-digits:
        return Text("0", "dim")
    return Text(f"{x:+.{digits}f}".replace("-", "−"), "blue" if x > 0 else "red")


def bar(share: float, width: int = 10) -> Text:
    """Return a horizontal bar for a share from 0 to 1."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return Text("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip(), "red")


def shade(weight: float, cell: int = 2) -> Text:
    """Return characters that are the darker the larger a weight from 0 to 1, red if it is negative."""
    return Text(
        SHADES[sum(abs(weight) >= least for least in LEAST)] * cell, "green" if weight >= 0 else "red"
    )
