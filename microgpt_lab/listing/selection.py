"""Which runs of a list: those of a configuration, a status or an age, and in which order."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable
from typing import Any

from microgpt_lab.errors import UserError, suggest
from microgpt_lab.listing.rows import Row
from microgpt_lab.options.keys import written
from microgpt_lab.run.folder import Summary

# What becomes of a run. Of one that was killed without a word, or is at work, the folder is `unfinished`;
# of one that cannot be read, `damaged`.
STATUSES = ("ok", "interrupted", "diverged", "failed", "refused", "killed", "damaged", "unfinished")
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
OWN = ("age", "run", "status")  # what a list can be sorted by beside figures and keys


def duration(text: str) -> float:
    """Seconds of '2d', '3h', '30min' or '1w'. There is no 'm', which could be minutes or months."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h|d|w)", text):
        return float(found[1]) * UNITS[found[2]]
    raise argparse.ArgumentTypeError(f"'{text}' is no duration: write a number with s, min, h, d or w, as 2d")


def age(seconds: float) -> str:
    """A duration in the largest unit of which there are two: 45s, 90min, 30h, 10d, 5w."""
    unit = next((unit for unit in reversed(UNITS) if seconds >= 2 * UNITS[unit]), "s")
    return f"{max(0, int(seconds // UNITS[unit]))}{unit}"


def filters(words: Iterable[str]) -> dict[str, str]:
    """The words key=value as a dictionary."""
    found: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key in found:
            raise UserError(
                f"'{key}' is set twice: write {key}={found[key]},{value} for runs of either value"
            )
        found[key] = value
    return found


def fits(row: Row, key: str, wanted: str) -> bool:
    """Whether a run has this value, or one of several with commas between; of callbacks, has this one."""
    if key == "status":
        return row.status in wanted.split(",")
    if key not in row.values:
        return False
    value = row.values[key]
    alternatives = {wanted, *wanted.split(",")}
    if key == "callback" and not wanted.startswith("["):
        return not alternatives.isdisjoint(str(value).strip("[]").split(","))
    return any(same(value, alternative) for alternative in alternatives)


def same(value: Any, text: str) -> bool:
    """Whether a text means the value: 3e-3 is 0.003, but '16' is not 16.5."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(text) == value
        except ValueError:
            return False
    return text == written(value)


def chosen(
    rows: Iterable[Row], wanted: dict[str, str], *, since: float | None = None, older: float | None = None
) -> list[Row]:
    """The runs with all of these values, of an age in seconds of at most `since` and more than `older`."""
    now = time.time()
    return [
        row
        for row in rows
        if all(fits(row, key, value) for key, value in wanted.items())
        and (since is None or now - row.begun <= since)
        and (older is None or now - row.begun > older)
    ]


def ordered(rows: Iterable[Row], by: str = "age", *, reverse: bool = False) -> list[Row]:
    """The smallest value first, so the newest, or the lowest loss; those that have no value are last.

    By a figure, by a key of the configuration, or by one of OWN.
    """
    rows = sorted(rows, key=lambda row: (-row.begun, str(row.folder)))
    if by == "age":
        return rows[::-1] if reverse else rows
    values = [(value_of(row, by), row) for row in rows]
    if rows and by not in Summary.__annotations__ and all(value is None for value, _ in values):
        known = {name for row in rows for name in row.figures} | set(OWN)
        raise UserError(f"--sort {by}: no run has that{suggest(by, known)}")
    having = [(value, row) for value, row in values if value is not None]
    having.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]), reverse=reverse)
    return [row for _, row in having] + [row for value, row in values if value is None]


def value_of(row: Row, name: str) -> Any:
    """A figure, a value of the configuration, the status or the path; None if the run has none.

    The steps are those that were made: of a run that was killed, nobody has counted them.
    """
    if name in OWN:
        return row.status if name == "status" else str(row.folder)
    return row.figures.get(name, None if name == "steps" else row.values.get(name))
