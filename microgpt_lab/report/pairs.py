"""Compare every setting of a table with every other, with intervals that hold for all pairs at once.

A table has a row per seed and a column per setting, as in comparison.py, and gaps are measured in the same
unit. The critical value is the 95 % quantile of the largest gap between any two settings in 10,000 simulated
sweeps whose settings have equal means. With equal and pooled noise, it would be Tukey's (1953) range test.

Sweeps are simulated twice: with equal noise, and with the settings' own noise. The larger critical value
counts, because with few seeds, settings of very unequal noise make more false claims (20 settings, 3 seeds, a
third of them ten times as noisy: 24 % instead of 5 %). With 10 seeds or more, the two hardly differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from microgpt_lab.report.comparison import (
    FEWEST,
    LEVEL,
    SIMULATED,
    Floats,
    noise_scale,
    rounding_noise,
)

MOST_SETTINGS = 60  # 1,770 pairs


@dataclass(frozen=True)
class Pairs:
    """The gap of each row to each column, (settings, settings), with its simultaneous interval.

    Above 0: the row's setting is worse. `p` is the probability of such a gap between some two settings by
    chance. The diagonal has gap 0 and is not significant.
    """

    seeds: int
    gap: Floats
    low: Floats
    high: Floats
    p: Floats
    significant: np.ndarray[Any, np.dtype[np.bool_]]


def compare_pairs(table: Any, candidates: int = 0, level: float = LEVEL) -> Pairs | None:
    """Compare all columns with each other, paired by seed; None if the table is too small.

    candidates, level: see `comparison.compare`.
    """
    table = np.asarray(table, float)
    seeds, settings = table.shape
    if seeds < FEWEST or settings < 2:
        return None
    first, second = np.triu_indices(settings, 1)
    gaps = table[:, first] - table[:, second]
    mean, noise = gaps.mean(0), np.maximum(gaps.std(0, ddof=1), rounding_noise(table))
    scale = noise_scale(noise, seeds) / np.sqrt(seeds)
    own = np.std(table - np.median(table, 1, keepdims=True), 0, ddof=1)
    family = max(settings, candidates)
    simulated = [largest_pairs((1.0,) * family, seeds)]
    if own.max() > 0:  # the noise of candidates that are not in the table is taken to be that of the others
        simulated.append(largest_pairs(tuple(np.resize(own / own.max(), family)), seeds))
    critical = max(float(np.quantile(largest, level)) for largest in simulated)
    t = np.abs(mean) / np.where(scale > 0, scale, np.inf)
    p = np.max([1 - np.searchsorted(largest, t) / (1 + len(largest)) for largest in simulated], 0)

    def square(values: Any, below: Any, diagonal: Any) -> Any:
        full = np.full((settings, settings), diagonal)
        full[first, second], full[second, first] = values, below
        return full

    low, high, claimed = mean - critical * scale, mean + critical * scale, t > critical
    return Pairs(
        seeds,
        square(mean, -mean, 0.0),
        square(low, -high, 0.0),
        square(high, -low, 0.0),
        square(p, p, 1.0),
        square(claimed, claimed, False),
    )


@lru_cache(maxsize=32)
def largest_pairs(noise: tuple[float, ...], seeds: int) -> Floats:
    """Simulate sweeps of settings with this noise: sorted largest gaps, in units of noise_scale / √seeds."""
    random, largest, remaining = np.random.default_rng(0), [], SIMULATED
    first, second = np.triu_indices(len(noise), 1)
    while remaining:
        size = min(remaining, max(1, 1_000_000 // (len(noise) * max(len(noise), seeds))))
        tables = random.standard_normal((size, seeds, len(noise))) * noise
        means = tables.mean(1)
        centred = tables - means[:, None]
        covariance = centred.transpose(0, 2, 1) @ centred / (seeds - 1)
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        of_gaps = variance[:, first] + variance[:, second] - 2 * covariance[:, first, second]
        scale = noise_scale(np.sqrt(np.maximum(of_gaps, 0)), seeds)
        gaps = np.abs(means[:, first] - means[:, second])
        ratios = np.divide(gaps, scale, out=np.zeros_like(gaps), where=scale > 0)
        largest.append(ratios.max(1) * np.sqrt(seeds))
        remaining -= size
    return np.sort(np.concatenate(largest))
