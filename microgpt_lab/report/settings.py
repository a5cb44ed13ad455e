"""Group the runs of a sweep into settings, and a metric into an array (settings, combinations, seeds)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from microgpt_lab.report.alignment import Alignment, align

if TYPE_CHECKING:
    import pandas

HIGHER_IS_BETTER = ("exact_match", "samples_new", "perf/tokens_per_s")
FAILED = ("diverged", "failed")  # statuses of runs without a result because of their configuration


def direction(metric: str) -> int:
    """Return -1 if higher values of the metric are better, else 1. The metric times it: lower is better."""
    return -1 if metric in HIGHER_IS_BETTER else 1


@dataclass
class Setting:
    """One combination of the compared keys, with the statuses, mean sizes and mean duration of its runs."""

    keys: dict[str, Any]
    runs: int
    statuses: dict[str, int]
    parameters: float | None
    flops_per_token: float | None
    seconds: float | None

    @property
    def name(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.keys.items()) or "all runs"

    @property
    def failed(self) -> int:
        return sum(self.statuses.get(status, 0) for status in FAILED)


@dataclass
class Runs:
    """A metric of the runs of a sweep: `values` (settings, combinations, seeds), NaN where it is missing.

    A combination is one combination of values of the swept keys that are not compared. `failed` has the
    shape of `values`. `folders` names the runs of each cell of `values`.
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
    """Group the runs of a sweep (`load_sweep`) by the keys `by`, in the order of each setting's first run.

    If several runs have the same configuration and seed, their mean counts.
    """
    other_keys = [key for key in frame.attrs["swept"] if key not in (*by, "seed")]
    columns = [numbered(frame, keys) for keys in (by, other_keys, ["seed"] if "seed" in frame else [])]
    cells = list(zip(*(numbers for numbers, _ in columns)))  # of each run
    shape = tuple(len(values) for _, values in columns)
    sums, counts, failed = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    folders: dict[tuple[int, int, int], list[str]] = {}
    metric_values = frame[metric].to_numpy(float)
    for cell, value, status, folder in zip(cells, metric_values, frame["status"], frame.index):
        failed[cell] |= status in FAILED
        if status == "ok" and np.isfinite(value):
            sums[cell] += value
            counts[cell] += 1
            folders.setdefault(cell, []).append(folder)
    values = np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)
    (setting_numbers, setting_values), (_, combinations), (_, seeds) = columns
    settings = [
        summarize(dict(zip(by, key_values)), cast("pandas.DataFrame", frame[np.equal(setting_numbers, i)]))
        for i, key_values in enumerate(setting_values)
    ]
    return Runs(
        settings,
        combinations,
        [seed for (seed,) in seeds] if seeds != [()] else [None],
        values,
        failed,
        folders,
    )


def numbered(frame: pandas.DataFrame, keys: Sequence[str]) -> tuple[list[int], list[tuple]]:
    """Number the distinct combinations of values of these keys: each row's number, and the combinations."""
    numbers: dict[tuple, int] = {}
    rows = zip(*(map(none_for_nan, frame[key]) for key in keys)) if keys else [()] * len(frame)
    return [numbers.setdefault(row, len(numbers)) for row in rows], list(numbers)


def none_for_nan(value: Any) -> Any:
    """Return None for NaN, which pandas stores for an option that the part does not have."""
    return None if value != value else value


def summarize(keys: dict[str, Any], rows: pandas.DataFrame) -> Setting:
    def mean(column: str, rows: pandas.DataFrame) -> float | None:
        values = rows[column].dropna() if column in rows else []
        return float(sum(values) / len(values)) if len(values) else None

    finished = cast("pandas.DataFrame", rows[rows["status"] == "ok"])
    statuses = rows["status"].value_counts().to_dict()
    sizes = mean("parameters", rows), mean("flops_per_token", rows)
    return Setting(keys, len(rows), statuses, *sizes, mean("seconds", finished))
