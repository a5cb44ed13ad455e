"""Fit a power law L(x) = L∞ + a · x^(−b) to means over seeds, with an interval of the exponent b.

The interval is the jackknife's over seeds (Tukey, 1958): the law is fitted again without each seed, and the
spread of these fits is the standard error, with Student's t for its n − 1 degrees of freedom. Seeds are left
out for all x at once, because a seed's noise is shared by its sizes. The interval holds if the law does: it
has the noise of seeds, not the error of the formula.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from microgpt_lab.report.comparison import FEWEST, LEVEL

FEWEST_POINTS = 5
EXPONENTS = np.geomspace(0.01, 10, 121)  # where the exponent is searched
WIDEST = 10  # an exponent whose interval spans a larger factor is not known
LEAST_EXPLAINED = 0.9  # of the variance between points; a law that explains less, beyond noise, is none


@dataclass(frozen=True)
class Law:
    """A fitted law. `interval` is that of the exponent, `floor` is L∞: 0 in a plain power law a · x^(−b)."""

    exponent: float
    interval: tuple[float, float]
    scale: float
    floor: float = 0.0
    floor_interval: tuple[float, float] | None = None

    def __call__(self, x: Any) -> Any:
        return self.floor + self.scale * np.asarray(x, float) ** -self.exponent


def fit(x: Any, table: Any) -> Law | str:
    """Fit a law to losses `table` (seeds, points) at `x` (points), or say why there is none.

    A law without L∞ is fitted if the points do not determine the one with L∞.
    """
    x, table = np.asarray(x, float), np.asarray(table, float)
    if len(set(x)) < FEWEST_POINTS:
        return f"{len(set(x))} points: a power law is fitted to {FEWEST_POINTS} or more"
    if len(table) < FEWEST:
        return f"no power law with {len(table)} {'seed' if len(table) == 1 else 'seeds'}: {FEWEST} are needed"
    if x.min() <= 0:
        return "no power law, because x is not above 0 everywhere"
    low, high = jackknife(lambda y: np.polyfit(np.log(x), y, 1)[0], table)
    if low <= 0 <= high:
        return "flat: no trend that these seeds could tell from 0"
    law = with_floor(x, table) or plain(x, table)
    if law is None or not follows(law, x, table):
        return "no power law: the points do not follow one"
    return law


def with_floor(x: Any, table: Any) -> Law | None:
    """Fit L∞ + a · x^(−b); None if b is not determined, or if L∞ could as well be 0."""
    middle = np.exp(np.log(x).mean())  # x in units of its geometric mean

    def lines(y: Any, b: Any) -> tuple[Any, Any, Any]:
        """The best L∞ and a for each exponent, and their sums of squared residuals."""
        u = (x / middle) ** -np.atleast_1d(b)[:, None]
        centred = u - u.mean(1, keepdims=True)
        a = centred @ y / (centred**2).sum(1)
        residuals = y - y.mean() - a[:, None] * centred
        return y.mean() - a * u.mean(1), a, (residuals**2).sum(1)

    def best(y: Any) -> Any:
        """The logarithm of the exponent, and L∞; NaN if no exponent is the best."""
        i = int(lines(y, EXPONENTS)[2].argmin())
        if i in (0, len(EXPONENTS) - 1):
            return np.full(2, np.nan)
        bounds = np.log(EXPONENTS[i - 1]), np.log(EXPONENTS[i + 1])
        found: Any = optimize.minimize_scalar(
            lambda b: lines(y, np.exp(b))[2][0], bounds=bounds, method="bounded"
        )
        return np.array([found.x, lines(y, np.exp(found.x))[0][0]])

    log_exponent, floor = best(table.mean(0))
    low, high = jackknife(best, table)
    if not (low[1] > 0 and high[0] - low[0] <= np.log(WIDEST)):  # or NaN
        return None
    exponent, interval = float(np.exp(log_exponent)), (float(np.exp(low[0])), float(np.exp(high[0])))
    scale = float(lines(table.mean(0), exponent)[1][0] * middle**exponent)
    return Law(exponent, interval, scale, float(floor), (float(low[1]), float(high[1])))


def plain(x: Any, table: Any) -> Law | None:
    """Fit a · x^(−b), a straight line in logarithms; None if a value is not above 0."""
    if table.mean(0).min() <= 0:
        return None
    slope, intercept = np.polyfit(np.log(x), np.log(table.mean(0)), 1)
    low, high = jackknife(lambda y: -np.polyfit(np.log(x), np.log(y), 1)[0], table)
    return Law(-float(slope), (float(low), float(high)), float(np.exp(intercept)))


def jackknife(estimate: Callable[[Any], Any], table: Any) -> tuple[Any, Any]:
    """The 95 % interval of `estimate(mean over seeds)`, from the estimates without each seed."""
    seeds = len(table)
    without = np.array([estimate(np.delete(table, seed, 0).mean(0)) for seed in range(seeds)])
    error = np.sqrt((seeds - 1) * without.var(0))
    half = stats.t.ppf((1 + LEVEL) / 2, seeds - 1) * error
    centre = estimate(table.mean(0))
    return centre - half, centre + half


def follows(law: Law, x: Any, table: Any) -> bool:
    """Whether the means are near the law: within twice their noise, or most of their variance explained."""
    residuals = table.mean(0) - law(x)
    noise = table.var(0, ddof=1).mean() / len(table)
    explained = 1 - residuals.var() / table.mean(0).var()
    return bool((residuals**2).mean() <= 4 * noise or explained >= LEAST_EXPLAINED)
