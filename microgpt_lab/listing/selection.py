"""Filter runs by configuration, status or age, and sort them."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable
from typing import Any

from microgpt_lab.errors import UserError, suggest
from microgpt_lab.listing.rows import Row
from microgpt_lab.options.keys import format_value
from microgpt_lab.run.folder import Summary

# A run that is still running, or that was killed without a message, is `unfinished`. One that cannot be
# read is `damaged`.
STATUSES = ("ok", "interrupted", "diverged", "failed", "refused", "killed", "damaged", "unfinished")
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
SORT_NAMES = ("age", "run", "status")  # a list can be sorted by these, by numbers in summary.json and by keys


def parse_duration(text: str) -> float:
    """Convert '2d', '3h', '30min' or '1w' to seconds. 'm' is refused: it could be minutes or months."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h|d|w)", text):
        return float(match[1]) * UNITS[match[2]]
    raise argparse.ArgumentTypeError(
        f"'{text}' is not a duration: write a number and a unit (s, min, h, d or w), such as 2d"
    )


def format_age(seconds: float) -> str:
    """Format a duration in the largest unit that gives at least 2: 45s, 90min, 30h, 10d, 5w."""
    unit = next((unit for unit in reversed(UNITS) if seconds >= 2 * UNITS[unit]), "s")
    return f"{max(0, int(seconds // UNITS[unit]))}{unit}"


def parse_filters(words: Iterable[str]) -> dict[str, str]:
    """Parse arguments key=value into a dictionary."""
    wanted: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key in wanted:
            raise UserError(
                f"'{key}' is set twice: write {key}={wanted[key]},{value} for runs of either value"
            )
        wanted[key] = value
    return wanted


def matches(row: Row, key: str, wanted: str) -> bool:
    """Return whether a run has the wanted value, or one of several separated by commas.

    A callback matches if it is one of the callbacks of the run.
    """
    if key == "status":
        return row.status in wanted.split(",")
    if key not in row.values:
        return False
    value = row.values[key]
    alternatives = {wanted, *wanted.split(",")}
    if key == "callback" and not wanted.startswith("["):
        return not alternatives.isdisjoint(str(value).strip("[]").split(","))
    return any(is_same(value, alternative) for alternative in alternatives)


def is_same(value: Any, text: str) -> bool:
    """Return whether a value equals one from the command line: 3e-3 equals 0.003, 16 does not equal 16.5."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(text) == value
        except ValueError:
            return False
    return text == format_value(value)


def select(
    rows: Iterable[Row], wanted: dict[str, str], *, since: float | None = None, older: float | None = None
) -> list[Row]:
    """Select the runs with all wanted values and an age of at most `since` and above `older` seconds."""
    now = time.time()
    return [
        row
        for row in rows
        if all(matches(row, key, value) for key, value in wanted.items())
        and (since is None or now - row.started <= since)
        and (older is None or now - row.started > older)
    ]


def sort_runs(rows: Iterable[Row], by: str = "age", *, reverse: bool = False) -> list[Row]:
    """Sort runs, smallest value first: the newest, or the lowest loss. Runs without the value are last.

    `by` is a number in summary.json, a key of the configuration, or one of SORT_NAMES.
    """
    rows = sorted(rows, key=lambda row: (-row.started, str(row.folder)))
    if by == "age":
        return rows[::-1] if reverse else rows
    values = [(value_of(row, by), row) for row in rows]
    if rows and by not in Summary.__annotations__ and all(value is None for value, _ in values):
        known = {name for row in rows for name in row.figures} | set(SORT_NAMES)
        raise UserError(f"--sort {by}: no run has that{suggest(by, known)}")
    with_value = [(value, row) for value, row in values if value is not None]
    with_value.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]), reverse=reverse)
    return [row for _, row in with_value] + [row for value, row in values if value is None]


def value_of(row: Row, name: str) -> Any:
    """Return a number in summary.json, a value of the configuration, the status or the path; None if missing.

    `steps` is the number of steps that the run finished, which is unknown for a killed run.
    """
    if name in SORT_NAMES:
        return row.status if name == "status" else str(row.folder)
    return row.figures.get(name, None if name == "steps" else row.values.get(name))
