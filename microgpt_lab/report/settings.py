"""Group a sweep's runs into settings, and their figures into an array of settings, combinations and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from microgpt_lab.report.alignment import Alignment, align

if TYPE_CHECKING:
    import pandas

HIGHER_IS_BETTER = ("exact_match", "samples_new", "perf/tokens_per_s")
FAILED = ("diverged", "failed")  # the run was made, and has no result because of what it is


def direction(metric: str) -> int:
    """-1 where higher figures are better: a metric times it is better the lower it is."""
    return -1 if metric in HIGHER_IS_BETTER else 1


@dataclass
class Setting:
    """Values of the keys that are told apart, and what became of their runs."""

    keys: dict[str, Any]
    runs: int
    statuses: dict[str, int]
    parameters: float | None
    seconds: float | None

    @property
    def name(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.keys.items()) or "all runs"

    @property
    def failed(self) -> int:
        return sum(self.statuses.get(status, 0) for status in FAILED)


@dataclass
class Runs:
    """The figures of a sweep: `values` (settings, combinations, seeds), NaN where there is none.

    A combination is one of the other keys' values. `folders` are the runs of each cell of `values`.
    """

    settings: list[Setting]
    combinations: list[tuple]
    seeds: list[Any]
    values: Any
    failed: Any
    folders: dict[tuple[int, int, int], list[str]] = field(default_factory=dict)

    def align(self) -> Alignment:
        return align(self.values, self.failed)


def group(frame: pandas.DataFrame, metric: str, by: Sequence[str]) -> Runs:
    """Group the runs of a sweep (`load_sweep`) by these keys, in the order of their first run.

    Runs of one cell (the same configuration twice) count with their mean.
    """
    others = [key for key in frame.attrs["swept"] if key not in (*by, "seed")]
    columns = [number_of(frame, keys) for keys in (by, others, ["seed"] if "seed" in frame else [])]
    of_run = list(zip(*(numbers for numbers, _ in columns)))
    shape = tuple(len(names) for _, names in columns)
    sums, counts, failed = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    folders: dict[tuple[int, int, int], list[str]] = {}
    figures = frame[metric].to_numpy(float)
    for cell, figure, status, folder in zip(of_run, figures, frame["status"], frame.index):
        failed[cell] |= status in FAILED
        if status == "ok" and np.isfinite(figure):
            sums[cell] += figure
            counts[cell] += 1
            folders.setdefault(cell, []).append(folder)
    values = np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)
    (setting_of, names), (_, combinations), (_, seeds) = columns
    settings = [
        describe(dict(zip(by, name)), cast("pandas.DataFrame", frame[np.equal(setting_of, i)]))
        for i, name in enumerate(names)
    ]
    return Runs(
        settings,
        combinations,
        [seed for (seed,) in seeds] if seeds != [()] else [None],
        values,
        failed,
        folders,
    )


def number_of(frame: pandas.DataFrame, keys: Sequence[str]) -> tuple[list[int], list[tuple]]:
    """Number each row by its values of these keys, and name the numbers."""
    names: dict[tuple, int] = {}
    rows = zip(*(map(plain, frame[key]) for key in keys)) if keys else [()] * len(frame)
    return [names.setdefault(row, len(names)) for row in rows], list(names)


def plain(value: Any) -> Any:
    """None for what pandas has as NaN: an option that the part lacks."""
    return None if value != value else value


def describe(keys: dict[str, Any], rows: pandas.DataFrame) -> Setting:
    def mean(column: str, rows: pandas.DataFrame) -> float | None:
        values = rows[column].dropna() if column in rows else []
        return float(sum(values) / len(values)) if len(values) else None

    good = cast("pandas.DataFrame", rows[rows["status"] == "ok"])
    statuses = rows["status"].value_counts().to_dict()
    return Setting(keys, len(rows), statuses, mean("parameters", rows), mean("seconds", good))


def at_best(frame: pandas.DataFrame, metric: str, key: str) -> tuple[pandas.DataFrame, int]:
    """Of each setting of the other keys, the runs at its best value of `key`; and how many candidates
    there were in all. A value at which a run failed is best only if one failed at every value.
    """
    import pandas

    swept = [name for name in frame.attrs["swept"] if name != key]
    others = [name for name in swept if name != "seed"]
    numbers, names = number_of(frame, others)
    kept, candidates = [], 0
    for i in range(len(names)):
        rows = cast("pandas.DataFrame", frame[np.equal(numbers, i)])
        rows.attrs = {"swept": [key, *(name for name in swept if name == "seed")]}
        runs = group(rows, metric, [key])
        aligned = runs.align()
        best = min(range(len(runs.settings)), key=lambda k: (runs.settings[k].failed, -runs.settings[k].runs))
        if aligned.seeds.any():
            means = direction(metric) * aligned.table(runs.values).mean(0)
            best = np.flatnonzero(aligned.settings)[means.argmin()]
        candidates += len(runs.settings)
        kept.append(rows[np.equal(number_of(rows, [key])[0], best)])
    chosen = pandas.concat(kept)
    chosen.attrs = frame.attrs | {"swept": swept}
    return chosen, candidates
