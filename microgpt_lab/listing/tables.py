"""Print a list of runs as a table for a terminal or a pipe, as JSON or as CSV."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from microgpt_lab.errors import printable
from microgpt_lab.listing.rows import Row
from microgpt_lab.listing.selection import format_age, value_of
from microgpt_lab.options.comparable import differ_in_tokenizer
from microgpt_lab.options.keys import format_value
from microgpt_lab.terminal import terminal

WIDE = 100  # columns; a narrower terminal gets no steps and seconds
COLOURS = {"ok": "green", "interrupted": "yellow", "unfinished": "yellow"}  # all other statuses are red
DIGITS = {"steps": ".0f", "seconds": ".1f", "parameters": ".0f"}  # other fractions have four decimals


def show(rows: list[Row], root: Path, figure: str = "loss/val", most: int | None = None) -> None:
    """Print a line per run. A terminal gets as many as fit into the window; a pipe gets all, untruncated."""
    console = terminal()
    if most is None:
        most = max(10, console.height - 5) if console.is_terminal else len(rows)
    shown = rows[:most]
    if figure == "loss/val" and shown and differ_in_tokenizer(differing(shown), tokenizer_of(shown[0])):
        figure = "bits_per_char/val"
    if not console.is_terminal:
        names = headings(figure)
        print("\n".join(aligned([names, *(cells(row, names, {}) for row in shown)])))
        return
    counts = Counter(row.status for row in rows)
    status_counts = ", ".join(f"{number:,} {status}" for status, number in counts.most_common())
    console.print(Text.assemble((printable(str(root)), "bold"), f"  {status_counts}"))
    common = shared(shown)
    if common:
        console.print(Text(f"in all of these runs: {written_out(common)}", "dim"))
    console.print(terminal_table(shown, root, figure, console, common))
    if len(rows) > most:
        console.print(
            Text(f"{len(rows) - most:,} more runs: -n {10 * most} shows more, and a pipe shows all", "dim")
        )


def differing(rows: list[Row]) -> set[str]:
    """Return the keys whose values differ between the runs."""
    first, *others = (row.changed for row in rows)
    return {key for other in others for key in {**first, **other} if first.get(key) != other.get(key)}


def tokenizer_of(row: Row) -> str:
    """Return the name of the tokenizer; runs of older versions have no such key."""
    return row.values.get("tokenizer", "char")


def headings(figure: str, *, wide: bool = True) -> list[str]:
    figures = ["loss/val", *(["steps", "seconds"] if wide else [])]
    figures += [figure] if figure not in figures else []
    return ["run", "status", *figures, "age", "differs from the defaults"]


def cells(row: Row, names: list[str], common: dict[str, Any]) -> list[str]:
    """Return the cells of a row, in the order of the headings."""
    numbers = (shortened(row, name) for name in names[2:-2])
    run_age = format_age(time.time() - row.started)
    return [printable(str(row.folder)), row.status, *numbers, run_age, difference(row, common)]


def shortened(row: Row, name: str) -> str:
    """Format a number in summary.json with few digits, or a value of the configuration."""
    if name in row.figures:
        figure = row.figures[name]
        return format(figure, DIGITS.get(name, "d" if isinstance(figure, int) else ".4f"))
    value = value_of(row, name)
    return "" if value is None else format_value(value)


def difference(row: Row, common: dict[str, Any]) -> str:
    """Return the keys that differ from their defaults, without the common ones, and the error if any."""
    changed = written_out({key: value for key, value in row.changed.items() if key not in common})
    return "  ".join(filter(None, (changed, row.summary.get("error"))))


def written_out(values: dict[str, Any]) -> str:
    return " ".join(f"{key}={format_value(value)}" for key, value in values.items())


def shared(rows: list[Row]) -> dict[str, Any]:
    """Return the keys that have the same value in all runs and are not at their defaults."""
    if len(rows) < 2:
        return {}
    first, *others = (row.changed for row in rows)
    return {key: x for key, x in first.items() if all(key in other and other[key] == x for other in others)}


def aligned(table: list[list[str]], left: int = 2) -> list[str]:
    """Format a table as lines of text. For ten thousand lines, rich would take four seconds.

    The first `left` columns and the last one are aligned left, the others right.
    """
    widths = [max(map(cell_len, column)) for column in zip(*table)]
    lines = []
    for *cells, last in table:
        spaces = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths)]
        padded = (cell + gap for cell, gap in zip(cells[:left], spaces))
        others = (gap + cell for cell, gap in zip(cells[left:], spaces[left:]))
        lines.append("  ".join([*padded, *others, last]).rstrip())
    return lines


def terminal_table(
    rows: list[Row], root: Path, figure: str, console: Console, common: dict[str, Any]
) -> Table:
    """Make a table as wide as the terminal: folders are shortened in the middle, differences at the end."""
    names = headings(figure, wide=console.width >= WIDE)
    body = [cells(row, names, common) for row in rows]
    for line, row in zip(body, rows):
        line[0] = printable(str(row.folder if row.folder == root else row.folder.relative_to(root)))
    widths = [max(map(cell_len, column)) for column in zip(names, *body)]
    free = console.width - sum(widths[1:-1]) - 2 * (len(names) - 1)
    widths[0] = min(widths[0], max(2 * free // 5, free - widths[-1], len("run")))
    widths[-1] = max(free - widths[0], 1)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, (name, width) in enumerate(zip(names, widths)):
        right = 1 < i < len(names) - 1
        table.add_column(Text(name), justify="right" if right else "left", no_wrap=True, width=width)
    for first, status, *others, last in body:
        folder, colour = Text(shorten_middle(first, widths[0]), "cyan"), COLOURS.get(status, "red")
        table.add_row(folder, Text(status, colour), *map(Text, others), Text(last, "dim"))
    return table


def shorten_middle(text: str, width: int) -> str:
    """Shorten a text in the middle to this width."""
    if cell_len(text) <= width:
        return text
    return f"{text[: width // 2]}…{text[len(text) - (width - 1 - width // 2) :]}"


def as_json(rows: list[Row]) -> str:
    """Return a JSON list with an object per line. Escapes keep names from controlling the terminal."""
    objects = (
        {"folder": str(row.folder), **facts(row), "differs": row.changed, "figures": row.figures}
        for row in rows
    )
    return "[\n" + ",\n".join(json.dumps(run) for run in objects) + "\n]" if rows else "[]"


def write_csv(rows: list[Row]) -> None:
    """Print a CSV line per run: facts, all numbers, and each key that differs from its default in any run."""
    table = [{"folder": printable(str(row.folder)), **facts(row), **row.figures} for row in rows]
    figures = dict.fromkeys(name for line in table for name in line)
    keys = dict.fromkeys(key for row in rows for key in row.changed if key not in figures)
    writer = csv.DictWriter(sys.stdout, [*figures, *keys], restval="", lineterminator="\n")
    writer.writeheader()
    for line, row in zip(table, rows):
        writer.writerow(line | {key: format_value(row.values[key]) for key in keys if key in row.values})


def facts(row: Row) -> dict[str, Any]:
    """Return the status, the start, the age in seconds and the error of a run."""
    try:
        started = datetime.fromtimestamp(row.started, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # a file may have any modification time
        started = None
    error = {"error": row.summary["error"]} if "error" in row.summary else {}
    return {"status": row.status, "begun": started, "age": round(time.time() - row.started), **error}
