"""Show what rich renders in a notebook: the same text and colours as in a terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PRE = '<pre style="line-height: 1.35; overflow-x: auto; font-family: monospace">{code}</pre>'


def to_html(renderable: Any, width: int = 120) -> str:
    """Return what a terminal of `width` columns would show, as HTML."""
    console = Console(record=True, file=io.StringIO(), width=width, highlight=False, emoji=False)
    console.print(renderable)
    return console.export_html(inline_styles=True, code_format=PRE)


def number(x: float) -> str:
    """Format a number with four digits."""
    return f"{x:.4g}"


def titled(title: str, *columns: str) -> Table:
    """Return a table whose first column is text, and whose others are numbers, or names, aligned right."""
    heading = Text(f"\n{title}", "bold") if title else None
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(Text(column, "dim"), justify="right" if i else "left", no_wrap=True)
    return table


def add(table: Table, *cells: str, style: str = "") -> None:
    """Add a row of plain text, in which rich reads no markup."""
    table.add_row(*map(Text, cells), style=style)
