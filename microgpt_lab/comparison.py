"""Which of several settings is better, and whether a sweep can tell: means, intervals, paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas

CONFIDENCE = 0.95
HIGHER_IS_BETTER = ("exact_match", "samples_new", "perf/tokens_per_s")


@dataclass
class Group:
    """The runs of one setting, of which so many are `good`. `values` are their figures by seed."""

    setting: dict[str, Any]
    values: dict[tuple, float]
    runs: int
    good: int
    statuses: dict[str, int]
    parameters: float | None
    seconds: float | None
    folders: list[str] = field(default_factory=list)
    mean: float = math.nan
    half_width: float = math.nan
    difference: Difference | None = None

    @property
    def name(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.setting.items()) or "all runs"


@dataclass
class Difference:
    """Of a group to the baseline, over the pairs that have both: its mean, half its interval, p."""

    mean: float
    half_width: float
    p: float
    pairs: int
    corrected: float = math.nan

    @property
    def is_told(self) -> bool:
        return self.corrected < 1 - CONFIDENCE


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its t-interval: t(n - 1) s / √n (Student, 1908)."""
    from scipy import stats

    n, mean = len(values), math.fsum(values) / len(values) if values else math.nan
    if n < 2:
        return mean, math.nan
    spread = math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (n - 1))
    return mean, float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * spread / math.sqrt(n)


def groups(frame: pandas.DataFrame, metric: str, by: Sequence[str]) -> list[Group]:
    """The settings of these keys, the best first. Those of which runs failed come after those of which
    none did: a lucky seed that survives is no winner.
    """
    others = [key for key in frame.attrs["swept"] if key not in by]
    found = []
    for setting, rows in parted(frame, by):
        good = cast(Any, rows)[(rows["status"] == "ok") & rows[metric].notna()]
        group = Group(
            setting=dict(zip(by, map(plain, setting))),
            values=by_unit(good, metric, others),
            runs=len(rows),
            good=len(good),
            statuses=rows["status"].value_counts().to_dict(),
            parameters=mean_of(rows, "parameters"),
            seconds=mean_of(good, "seconds"),
            folders=list(good.index),
        )
        group.mean, group.half_width = interval(list(group.values.values()))
        found.append(group)
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    return sorted(
        found, key=lambda group: (math.isnan(group.mean), group.good < group.runs, sign * group.mean)
    )


def by_unit(rows: pandas.DataFrame, metric: str, others: Sequence[str]) -> dict[tuple, float]:
    """The figure of each seed: the mean over what else was swept, of the seeds that have all of it.

    Without seeds, the figure of each run, by what else was swept.
    """
    found: dict[tuple, list[float]] = {}
    unit = ["seed"] if "seed" in others else others
    for i, (value, *key) in enumerate(zip(rows[metric], *(rows[name] for name in unit))):
        found.setdefault(tuple(map(plain, key)) if unit else (i,), []).append(float(value))
    most = max(map(len, found.values()), default=0)
    return {key: math.fsum(x) / len(x) for key, x in found.items() if len(x) == most}


def plain(value: Any) -> Any:
    """None for what pandas has as NaN; an option that the part lacks."""
    return None if value != value else value


def parted(frame: pandas.DataFrame, keys: Sequence[str]) -> list[tuple[tuple, pandas.DataFrame]]:
    """The rows of each combination of these keys' values, in the order of their first."""
    if not keys:
        return [((), frame)]
    return cast(list, list(frame.groupby(list(keys), sort=False, dropna=False)))


def mean_of(rows: pandas.DataFrame, column: str) -> float | None:
    values = rows[column].dropna() if column in rows else []
    return float(sum(values) / len(values)) if len(values) else None


def compare(found: list[Group], baseline: Group) -> None:
    """Give each group its difference to the baseline, paired by seed.

    p is that of Student's paired test, and is corrected for the number of groups: of those that are
    said to differ, one in twenty does not (Benjamini & Hochberg, 1995).
    """
    from scipy import stats

    for group in found:
        both = [unit for unit in group.values if unit in baseline.values]
        if group is baseline or len(both) < 2:
            continue
        differences = [group.values[unit] - baseline.values[unit] for unit in both]
        mean, half_width = interval(differences)
        if half_width < 1e-12:  # nothing, or the same amount each time
            p = float(abs(mean) < 1e-12)
        else:
            p = cast(Any, stats.ttest_1samp(differences, 0.0)).pvalue
        group.difference = Difference(mean, half_width, float(p), len(both))
    known = [group.difference for group in found if group.difference]
    if known:
        for difference, p in zip(known, stats.false_discovery_control([d.p for d in known])):
            difference.corrected = float(p)


def best_of(frame: pandas.DataFrame, metric: str, key: str) -> pandas.DataFrame:
    """Of each setting of the other keys, the runs at that value of `key` which is best on the mean."""
    import pandas

    kept, swept = [], [name for name in frame.attrs["swept"] if name != key]
    for _, rows in parted(frame, [name for name in swept if name != "seed"]):
        rows.attrs = {"swept": [key, *(name for name in swept if name == "seed")]}
        best = groups(rows, metric, [key])[0].setting[key]
        kept += [part for (value,), part in parted(rows, [key]) if plain(value) == best]
    chosen = pandas.concat(kept)
    chosen.attrs = frame.attrs | {"swept": swept}
    return chosen


def sentence(group: Group, baseline: Group, metric: str) -> str:
    """What this sweep can say of a group, in words."""
    if group is baseline:
        return "the baseline"
    if not group.values:
        return "no run ended well"
    if group.difference is None:
        return "cannot tell: fewer than two runs to compare"
    d = group.difference
    amount = f"{abs(d.mean):.4f} ± {d.half_width:.4f}"
    if not d.is_told:
        return f"a tie: {amount} could be chance (p = {d.corrected:.2g})"
    better = (d.mean > 0) == (metric in HIGHER_IS_BETTER)
    return f"{'better' if better else 'worse'} by {amount} (p = {d.corrected:.2g})"
