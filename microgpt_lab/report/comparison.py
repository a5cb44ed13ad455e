"""Compare settings over seeds with the best setting, or with a baseline that was named before the runs.

A table has a row per seed and a column per setting, without missing values (see alignment.py). Lower is
better: negate other metrics. Gaps are paired by seed, so that noise that settings share at a seed cancels.

A comparison with the best setting must allow for the fact that it was chosen from the same table. Each gap
is measured in units of its noise. It is compared with the largest such gap in each of 10,000 simulated
sweeps of the same size, in which all settings are equal and the best is chosen in the same way.
docs/reports.md has the error rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

Floats = np.ndarray[Any, np.dtype[np.float64]]

LEVEL = 0.95  # the share of sweeps in which all intervals of a table hold
# The level of intervals of a sweep that stops when they are narrow, which is more often if the noise is
# underestimated. With it, they hold in 95 % of sweeps, however often the sweep looked (docs/reports.md).
STOPPED_LEVEL = 0.97
FEWEST = 3  # seeds; with fewer, no gap is claimed
NOISE_LEVEL = 0.75  # the confidence level of the upper limit of a standard deviation, see `noise_scale`
POWER = 0.8  # in the formula of `seeds_needed`; in effect about 3 of 4, because noise is underestimated
SIMULATED = 10_000


@dataclass(frozen=True)
class Comparison:
    """Each setting's gap to the reference, in the order of the table's columns; above 0 is worse.

    `has_baseline` says that the reference is a baseline, which was named before the runs. `family` is the
    number of settings that the correction counts. `low` to `high` is the simultaneous confidence interval of
    the gap, `p` the probability of such a gap by chance, `significant` whether the gap is claimed, and
    `noise` the standard deviation of the gap over seeds. For the reference itself, the gap is 0,
    `significant` is False and the others are NaN. `level` is the confidence level.
    """

    reference: int
    has_baseline: bool
    seeds: int
    family: int
    level: float
    gap: Floats
    low: Floats
    high: Floats
    p: Floats
    significant: np.ndarray[Any, np.dtype[np.bool_]]
    noise: Floats

    @property
    def typical_noise(self) -> float:
        return float(np.nanmedian(self.noise))


def compare(
    table: Any, baseline: int | None = None, candidates: int = 0, level: float = LEVEL
) -> Comparison | None:
    """Compare all columns with the best one, or with the column `baseline`; None if the table is too small.

    With a baseline: Student's paired t-test with Holm's correction (1979), and Bonferroni's intervals.
    `candidates`: the number of settings from which the columns were chosen, on these same seeds.
    """
    table = np.asarray(table, float)
    seeds, settings = table.shape
    if seeds < FEWEST or settings < 2:
        return None
    reference = int(table.mean(0).argmin()) if baseline is None else baseline
    family = max(settings, candidates)
    return against(table, reference, has_baseline=baseline is not None, family=family, level=level)


def against(
    table: Floats, reference: int, *, has_baseline: bool, family: int, level: float = LEVEL
) -> Comparison:
    """Compare all columns with one: a baseline (`has_baseline`), or the best of the `family`."""
    seeds, settings = table.shape
    others = np.arange(settings) != reference
    gaps = paired_gaps(table[None], np.array([reference]))[0]
    mean, noise = gaps.mean(0), np.maximum(gaps.std(0, ddof=1), rounding_noise(table))
    scale = noise if has_baseline else noise_scale(noise, seeds)
    critical = critical_value(family, seeds, has_baseline, level)
    width = critical * scale / np.sqrt(seeds)
    t = np.abs(mean) * np.sqrt(seeds) / np.where(scale > 0, scale, np.inf)
    if has_baseline:
        p = holm(2 * stats.t.sf(t, seeds - 1), family - 1)
        significant = p < 1 - level
    else:
        simulated = largest_gaps(family, seeds)
        p = (1 + len(simulated) - np.searchsorted(simulated, t)) / (1 + len(simulated))
        significant = t > critical
    # Holm's correction can claim a gap whose Bonferroni interval contains 0: the interval then ends at 0.
    low = np.where(significant & (mean > 0), np.maximum(mean - width, 0), mean - width)
    high = np.where(significant & (mean < 0), np.minimum(mean + width, 0), mean + width)

    def column(values: Any, at_reference: Any) -> Any:
        full = np.full(settings, at_reference)
        full[others] = values
        return full

    nan = np.nan
    return Comparison(
        reference,
        has_baseline,
        seeds,
        family,
        level,
        gap=column(mean, 0.0),
        low=column(low, nan),
        high=column(high, nan),
        p=column(p, nan),
        significant=column(significant, False),
        noise=column(noise, nan),
    )


def paired_gaps(tables: Floats, references: Any) -> Floats:
    """Subtract each table's reference column from its other columns: (tables, seeds, settings - 1)."""
    count, seeds, settings = tables.shape
    gaps = tables - np.take_along_axis(tables, references[:, None, None], 2)
    others = np.arange(settings) != references[:, None]
    gaps = gaps.transpose(0, 2, 1)[others]
    return gaps.reshape(count, settings - 1, seeds).transpose(0, 2, 1)


def rounding_noise(table: Floats) -> float:
    """Standard deviation of a gap's rounding, for values with a fixed step: variance step² / 12 each."""
    values = np.unique(table)
    steps = np.diff(values)
    # Smaller differences are floating-point rounding. It is relative, because a setting may explode to 1e12.
    steps = steps[steps > 1e-9 * np.abs(values[1:])]
    return float(steps.min() / np.sqrt(6)) if len(steps) else 0.0


def margin(seeds: Any) -> Any:
    """Factor from a standard deviation over `seeds` to its upper 75 % confidence limit (χ²)."""
    return np.sqrt((seeds - 1) / stats.chi2.ppf(1 - NOISE_LEVEL, seeds - 1))


def noise_scale(noise: Floats, seeds: int) -> Floats:
    """The unit in which gaps are measured: their own noise times `margin`, and at least the median noise.

    The median is a floor, so that a few seeds that agree by chance prove nothing (like s₀ in Tusher,
    Tibshirani & Chu, 2001, PNAS 98, 5116).
    """
    return np.maximum(margin(seeds) * noise, np.median(noise, -1, keepdims=True))


@lru_cache(maxsize=256)
def largest_gaps(settings: int, seeds: int) -> Floats:
    """Simulate sweeps of equal settings: sorted largest gaps, in units of `noise_scale` / √seeds.

    With pooled noise, its quantile would be that of Tukey's studentized range (Hsu, 1996). Critical values
    by simulation: Edwards & Berry (1987), Biometrics 43, 913. The random seed is fixed, so that the same
    table always gives the same result.
    """
    random, largest, remaining = np.random.default_rng(0), [], SIMULATED
    while remaining:
        size = min(remaining, max(1, 1_000_000 // (settings * seeds)))
        tables = random.standard_normal((size, seeds, settings))
        gaps = paired_gaps(tables, tables.mean(1).argmin(1))
        scale = noise_scale(gaps.std(1, ddof=1), seeds)
        largest.append((gaps.mean(1) / scale).max(1) * np.sqrt(seeds))
        remaining -= size
    return np.sort(np.concatenate(largest))


@lru_cache(maxsize=256)
def critical_value(settings: int, seeds: int, has_baseline: bool, level: float = LEVEL) -> float:
    """Half the width of an interval, in units of `scale` / √seeds (see `against`).

    Without a baseline, larger gaps are claimed. With one, Holm's correction decides.
    """
    if has_baseline:  # Bonferroni
        return float(stats.t.ppf(1 - (1 - level) / 2 / (settings - 1), seeds - 1))
    return float(np.quantile(largest_gaps(settings, seeds), level))


def holm(p: Floats, family: int) -> Floats:
    """Correct p-values for the number of comparisons with Holm's step-down method (1979)."""
    order, corrected = p.argsort(), np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * (family - np.arange(len(p)))))
    return corrected


def detectable_gap(noise: float, seeds: int, comparison: Comparison) -> float:
    """The true gap that about 3 of 4 sweeps with this number of seeds claim."""
    has_baseline = comparison.has_baseline
    # With 100 or more seeds, the simulated critical value hardly changes.
    simulated = seeds if has_baseline else min(seeds, 100)
    critical = critical_value(comparison.family, simulated, has_baseline, comparison.level)
    scale = 1.0 if has_baseline else margin(seeds)
    return float((critical * scale + stats.norm.ppf(POWER)) * noise / np.sqrt(seeds))


def seeds_needed(noise: float, gap: float, comparison: Comparison, most: int = 500) -> int | None:
    """The number of seeds with which about 3 of 4 sweeps claim a true gap; None if more than `most`.

    Pass the smallest gap that matters, not the observed gap, which is large partly by chance.
    """
    low, high = FEWEST - 1, most
    if detectable_gap(noise, most, comparison) > abs(gap):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = detectable_gap(noise, middle, comparison) <= abs(gap)
        low, high = (low, middle) if enough else (middle, high)
    return high
