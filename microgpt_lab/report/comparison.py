"""Compare settings over seeds: with the best of them, or with a baseline that was named before.

A table has a row a seed and a column a setting, and no holes (see alignment.py). Lower is better: turn
the sign of other figures. Gaps are paired by seed, so that noise which settings share at a seed cancels.

With the best setting of the same table, choosing it has to be paid for. Each gap is measured in units of
its noise, and held against the largest such gap of 10,000 simulated sweeps of the same size in which all
settings are equal and the best is chosen in the same way. docs/reports.md has the error rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

Floats = np.ndarray[Any, np.dtype[np.float64]]

LEVEL = 0.95  # all intervals of a table hold at once in so many sweeps
FEWEST = 3  # seeds, below which nothing is claimed
MARGIN = 0.75  # the upper limit of a standard deviation that is taken, see `noise_scale`
POWER = 0.8  # in the formula of `seeds_needed`; noise that looks small leaves about 3 of 4
SIMULATED = 10_000


@dataclass(frozen=True)
class Comparison:
    """Each setting's gap to the reference, in the order of the table's columns; above 0 is worse.

    `low` to `high` is the simultaneous interval of the gap, `p` the probability of such a gap by luck,
    `significant` whether it is claimed, `noise` the gap's standard deviation over seeds. Of the reference
    itself, the gap is 0 and the rest NaN. `family` is the number of settings that were candidates.
    """

    reference: int
    named: bool
    seeds: int
    family: int
    gap: Floats
    low: Floats
    high: Floats
    p: Floats
    significant: np.ndarray[Any, np.dtype[np.bool_]]
    noise: Floats

    @property
    def typical_noise(self) -> float:
        return float(np.nanmedian(self.noise))


def compare(table: Any, baseline: int | None = None, candidates: int = 0) -> Comparison | None:
    """Compare all columns with the best one, or with a `baseline`; None if the table is too small.

    With a baseline: Student's paired t-test, corrected by Holm (1979), and intervals by Bonferroni.
    `candidates`: the columns are the best of so many, chosen on these same seeds.
    """
    table = np.asarray(table, float)
    seeds, settings = table.shape
    if seeds < FEWEST or settings < 2:
        return None
    reference = int(table.mean(0).argmin()) if baseline is None else baseline
    return against(table, reference, named=baseline is not None, family=max(settings, candidates))


def against(table: Floats, reference: int, *, named: bool, family: int) -> Comparison:
    """Compare all columns with one, which was `named` before or is the best of the `family`."""
    seeds, settings = table.shape
    others = np.arange(settings) != reference
    gaps = paired_gaps(table[None], np.array([reference]))[0]
    mean, noise = gaps.mean(0), np.maximum(gaps.std(0, ddof=1), rounding_noise(table))
    scale = noise if named else noise_scale(noise, seeds)
    width = critical_value(family, seeds, named) * scale / np.sqrt(seeds)
    t = np.abs(mean) * np.sqrt(seeds) / np.where(scale > 0, scale, np.inf)
    if named:
        p = holm(2 * stats.t.sf(t, seeds - 1), family - 1)
        significant = p < 1 - LEVEL
    else:
        chance = largest_gaps(family, seeds)
        p = (1 + len(chance) - np.searchsorted(chance, t)) / (1 + len(chance))
        significant = t > critical_value(family, seeds, named)
    # Holm's correction can claim a little more than Bonferroni's interval shows.
    low = np.where(significant & (mean > 0), np.maximum(mean - width, 0), mean - width)
    high = np.where(significant & (mean < 0), np.minimum(mean + width, 0), mean + width)

    def column(values: Any, at_reference: Any) -> Any:
        full = np.full(settings, at_reference)
        full[others] = values
        return full

    nan = np.nan
    return Comparison(
        reference,
        named,
        seeds,
        family,
        gap=column(mean, 0.0),
        low=column(low, nan),
        high=column(high, nan),
        p=column(p, nan),
        significant=column(significant, False),
        noise=column(noise, nan),
    )


def paired_gaps(tables: Floats, references: Any) -> Floats:
    """Each seed's gap of all other settings to the reference: (tables, seeds, settings - 1)."""
    count, seeds, settings = tables.shape
    gaps = tables - np.take_along_axis(tables, references[:, None, None], 2)
    others = np.arange(settings) != references[:, None]
    gaps = gaps.transpose(0, 2, 1)[others]
    return gaps.reshape(count, settings - 1, seeds).transpose(0, 2, 1)


def rounding_noise(table: Floats) -> float:
    """The noise of a gap between figures that come in steps, such as 3 of 20: each has step² / 12."""
    values = np.unique(table)
    steps = np.diff(values)
    # Less is rounding of floats, of figures of that size: one setting may have exploded to 1e12.
    steps = steps[steps > 1e-9 * np.abs(values[1:])]
    return float(steps.min() / np.sqrt(6)) if len(steps) else 0.0


def margin(seeds: Any) -> Any:
    """How much larger a standard deviation may be than it looks: its upper 75 % limit (χ²), as a factor."""
    return np.sqrt((seeds - 1) / stats.chi2.ppf(1 - MARGIN, seeds - 1))


def noise_scale(noise: Floats, seeds: int) -> Floats:
    """The noise that a gap is measured by: its own with a margin, and at least the median of all.

    The floor keeps a few seeds that agree by luck from proving anything (as s₀ in Tusher, Tibshirani &
    Chu, 2001, PNAS 98, 5116).
    """
    return np.maximum(margin(seeds) * noise, np.median(noise, -1, keepdims=True))


@lru_cache(maxsize=256)
def largest_gaps(settings: int, seeds: int) -> Floats:
    """Sorted, of each simulated sweep of equal settings: the largest gap to the best, in noise scales.

    Where noise is pooled, its quantile is that of Tukey's studentized range (Hsu, 1996); by simulation as
    in Edwards & Berry (1987), Biometrics 43, 913. The random seed is fixed: a table has one answer.
    """
    random, found, left = np.random.default_rng(0), [], SIMULATED
    while left:
        size = min(left, max(1, 1_000_000 // (settings * seeds)))
        tables = random.standard_normal((size, seeds, settings))
        gaps = paired_gaps(tables, tables.mean(1).argmin(1))
        scale = noise_scale(gaps.std(1, ddof=1), seeds)
        found.append((gaps.mean(1) / scale).max(1) * np.sqrt(seeds))
        left -= size
    return np.sort(np.concatenate(found))


@lru_cache(maxsize=256)
def critical_value(settings: int, seeds: int, named: bool) -> float:
    """The gap, in noise scales over √seeds, above which one is claimed."""
    if named:  # Bonferroni
        return float(stats.t.ppf(1 - (1 - LEVEL) / 2 / (settings - 1), seeds - 1))
    return float(np.quantile(largest_gaps(settings, seeds), LEVEL))


def holm(p: Floats, family: int) -> Floats:
    """Correct p-values for the number of comparisons, the smallest the most (Holm, 1979)."""
    order, corrected = p.argsort(), np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * (family - np.arange(len(p)))))
    return corrected


def seeds_needed(noise: float, gap: float, found: Comparison, most: int = 500) -> int | None:
    """The seeds at which about 3 of 4 sweeps claim a true gap of this size; None if more than `most`.

    Name a gap that matters. The one that was seen is large partly by luck.
    """

    def enough(seeds: int) -> bool:
        # The simulated critical value hardly moves from 100 seeds on.
        critical = critical_value(found.family, seeds if found.named else min(seeds, 100), found.named)
        scale = 1.0 if found.named else margin(seeds)
        return (critical * scale + stats.norm.ppf(POWER)) * noise <= abs(gap) * np.sqrt(seeds)

    if not enough(most):
        return None
    low, high = FEWEST - 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
