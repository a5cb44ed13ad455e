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
    """The runs of one setting. `values` are those of the runs that ended well, by what else was swept."""

    setting: dict[str, Any]
    values: dict[tuple, float]
    runs: int
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
    """The settings of these keys, the best first; those without a single good run last."""
    units = [key for key in frame.attrs["swept"] if key not in by]
    found = []
    for setting, rows in parted(frame, by):
        good = cast(Any, rows)[(rows["status"] == "ok") & rows[metric].notna()]
        pairs = zip(*(good[key] for key in units)) if units else [()]
        values = dict(zip(pairs, good[metric].astype(float)))
        group = Group(
            setting=dict(zip(by, setting)),
            values=values,
            runs=len(rows),
            statuses=rows["status"].value_counts().to_dict(),
            parameters=mean_of(rows, "parameters"),
            seconds=mean_of(good, "seconds"),
            folders=list(good.index),
        )
        group.mean, group.half_width = interval(list(values.values()))
        found.append(group)
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    return sorted(found, key=lambda group: (math.isnan(group.mean), sign * group.mean))


def parted(frame: pandas.DataFrame, keys: Sequence[str]) -> list[tuple[tuple, pandas.DataFrame]]:
    """The rows of each combination of these keys' values, in the order of their first."""
    if not keys:
        return [((), frame)]
    return cast(list, list(frame.groupby(list(keys), sort=False, dropna=False)))


def mean_of(rows: pandas.DataFrame, column: str) -> float | None:
    values = rows[column].dropna() if column in rows else []
    return float(sum(values) / len(values)) if len(values) else None


def compare(found: list[Group], baseline: Group) -> None:
    """Give each group its difference to the baseline, paired by seed (and what else was swept).

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

    others = [k for k in frame.attrs["swept"] if k not in (key, "seed")]
    kept = []
    for _, rows in parted(frame, others):
        part = rows.copy()
        part.attrs = {"swept": [key, "seed"]}
        complete = [g for g in groups(part, metric, [key]) if len(g.values) == g.runs]
        ranked = complete or groups(part, metric, [key])  # a value at which runs fail is no best one
        kept.append(rows[rows[key] == ranked[0].setting[key]])
    chosen = pandas.concat(kept)
    chosen.attrs = frame.attrs
    return chosen


def sentence(group: Group, baseline: Group, metric: str) -> str:
    """What this sweep can say of a group, in words."""
    if group is baseline:
        return "the baseline"
    if not group.values:
        return "no run ended well"
    if group.difference is None:
        return "cannot tell: fewer than two seeds in common"
    d = group.difference
    amount = f"{abs(d.mean):.4f} ± {d.half_width:.4f}"
    if not d.is_told:
        return f"a tie: the difference of {amount} could be chance (p = {d.corrected:.2g})"
    better = (d.mean > 0) == (metric in HIGHER_IS_BETTER)
    return f"{'better' if better else 'worse'} by {amount} (p = {d.corrected:.2g})"
