"""Group the runs of a sweep into settings, and a metric into an array (settings, combinations, seeds)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from microgpt_lab.errors import UserError
from microgpt_lab.options.overrides import parse_value
from microgpt_lab.report.alignment import Alignment, align
from microgpt_lab.sweeps.rounds import Rounds

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


def at_best(frame: pandas.DataFrame, metric: str, key: str) -> tuple[pandas.DataFrame, int]:
    """Keep, for each setting of the other keys, only the runs at its best value of `key`.

    Return these runs and the total number of candidates. A value with a failed run is the best only if
    every value has one: then the value with the fewest.
    """
    import pandas

    swept = [name for name in frame.attrs["swept"] if name != key]
    other_keys = [name for name in swept if name != "seed"]
    numbers, combinations = numbered(frame, other_keys)
    best_runs, candidates = [], 0
    for i in range(len(combinations)):
        rows = cast("pandas.DataFrame", frame[np.equal(numbers, i)])
        rows.attrs = {"swept": [key, *(name for name in swept if name == "seed")]}
        runs = group(rows, metric, [key])
        aligned = runs.align()
        best = min(range(len(runs.settings)), key=lambda k: (runs.settings[k].failed, -runs.settings[k].runs))
        if aligned.seeds.any():
            means = direction(metric) * aligned.table(runs.values).mean(0)
            best = np.flatnonzero(aligned.settings)[means.argmin()]
        candidates += len(runs.settings)
        best_runs.append(rows[np.equal(numbered(rows, [key])[0], best)])
    best_frame = pandas.concat(best_runs)
    best_frame.attrs = frame.attrs | {"swept": swept}
    return best_frame, candidates


def at_chosen(frame: pandas.DataFrame, rounds: Rounds) -> tuple[pandas.DataFrame, list[dict[str, Any]]]:
    """Keep the runs of a tuned sweep that are compared: at the chosen values, with other seeds.

    Return these runs, and the chosen values that are the smallest or largest tried: each with its setting.
    """
    if not rounds.chosen:
        raise UserError(
            f"the sweep has not chosen {' and '.join(rounds.tune)} yet: repeat its command to continue it"
        )
    chosen = [dict(split(override) for override in overrides) for overrides in rounds.chosen]
    keys = [key for key in frame.attrs["swept"] if key in chosen[0]]
    rows = list(zip(*(map(comparable, frame[key]) for key in keys)))
    wanted = {tuple(comparable(values[key]) for key in keys) for values in chosen}
    tuning = {comparable(seed) for seed in rounds.tuning_seeds}
    is_tuning = [comparable(seed) in tuning for seed in frame["seed"]]
    kept = frame[[row in wanted and not tuned for row, tuned in zip(rows, is_tuning)]]
    kept.attrs = frame.attrs
    return cast("pandas.DataFrame", kept), list(at_an_end(keys, rows, is_tuning, chosen, rounds.tune))
