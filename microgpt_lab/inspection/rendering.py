"""Show a view as a rich table: in the terminal, and as HTML in a notebook."""

from __future__ import annotations

import io
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from microgpt_lab.errors import printable

NOTEBOOK = 120  # columns
PRE = (
    "<pre style=\"white-space:pre;overflow-x:auto;line-height:normal;font-family:Menlo,'DejaVu Sans Mono',"
    'consolas,monospace">{code}</pre>'
)
SHADES = " ░▒▓█"
EIGHTHS = " ▏▎▍▌▋▊▉"
T = TypeVar("T")


class View:
    """Base class of the views, which are dataclasses of plain numbers. Implement `__rich__`."""

    def __rich__(self) -> Any:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return html(self)


class Views(list[T]):
    """A list of views of one class, shown together: as `together`, a static method of the class, says."""

    def __rich__(self) -> Any:
        return type(self[0]).together(self) if self else ""  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        return html(self)


def html(renderable: Any) -> str:
    """Return what rich prints, as HTML with inline styles, without a background."""
    console = Console(
        record=True, file=io.StringIO(), width=NOTEBOOK, color_system="truecolor", force_terminal=True,
        highlight=False, emoji=False,
    )  # fmt: skip
    console.print(renderable)
    return console.export_html(inline_styles=True, code_format=PRE)


def table(*columns: str, title: str = "", left: int = 1) -> Table:
    """Return an empty table without lines. The first `left` columns are aligned to the left."""
    made = Table(box=None, pad_edge=False, header_style="dim", title=title or None, title_justify="left")
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i < left else "right", no_wrap=True)
    return made


def signed(x: float | None, digits: int = 2) -> Text:
    """Format a number with its sign, blue or red; what rounds to 0 as a dot, and None as a dash."""
    if x is None:
        return Text("–", "dim")
    if abs(x) < 0.5 * 10**-digits:
        return Text("·", "dim")
    return Text(f"{x:+.{digits}f}".replace("-", "−"), "blue" if x > 0 else "red")


def number(x: float | None, digits: int = 3) -> str:
    """Format a number with this many significant digits, and None as a dash."""
    return "–" if x is None else f"{x:.{digits}g}".replace("-", "−")


def bar(share: float, width: int = 10) -> Text:
    """Return a horizontal bar for a share from 0 to 1."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return Text("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip(), "red")


def shade(weight: float) -> Text:
    """Return two characters that are the darker the larger a weight from 0 to 1."""
    return Text(SHADES[max(0, min(4, round(weight * 4)))] * 2, "green" if weight >= 0 else "red")


def shown(label: str) -> str:
    """Return a token's label in one line of printable characters; a space as ␣."""
    return "␣" * len(label) if label.strip(" ") == "" and label else printable(label)
