"""Kinds of simulated sweeps whose true gaps are known, and their losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np


@dataclass(frozen=True)
class Cell:
    """A kind of sweep.

    Args:
        settings: number of settings.
        seeds: number of seeds.
        noise: distribution of a run's own noise.
        spread: how the noise differs between settings. x16: variances 1 to 16. wild1: one setting has ten
            times the standard deviation. wild30: 30 % of the settings have. mixed: half of the settings share
            the noise of the seed.
        shared: part of the variance that settings share at a seed.
        gap: every second setting is worse by this number of standard deviations of a paired difference.
        baseline: the first setting is a named baseline.
    """

    settings: int = 10
    seeds: int = 5
    noise: str = "normal"
    spread: str = "equal"
    shared: float = 0.5
    gap: float = 0.0
    baseline: bool = False

    def __str__(self) -> str:
        parts = [f"{self.settings} settings, {self.seeds} seeds"]
        parts += [word for word in (self.noise, self.spread) if word not in ("normal", "equal")]
        parts += [f"{self.shared:g} shared"] if self.shared != 0.5 else []
        parts += [f"gap {self.gap:g}"] if self.gap else []
        parts += ["baseline"] if self.baseline else []
        return ", ".join(parts)

    @property
    def equal_noise(self) -> bool:
        return self.spread == "equal"

    def random(self) -> Any:
        """Random generator of this cell alone, so that cells do not depend on each other."""
        return np.random.default_rng([20, crc32(str(self).encode())])


def draw(random: Any, kind: str, shape: tuple[int, ...]) -> Any:
    """Draw numbers with mean 0 and variance 1."""
    z = random.standard_normal(shape)
    if kind == "t3":
        return random.standard_t(3, shape) / np.sqrt(3)
    if kind == "lognormal":
        return (np.exp(z) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
    if kind == "outliers":  # one run in ten has five times the noise
        return np.where(random.random(shape) < 0.1, 5 * z, z) / np.sqrt(0.9 + 2.5)
    return z


def deviations(settings: int, spread: str) -> Any:
    """Standard deviations of the settings, in an order that is independent of the gaps."""
    found = np.ones(settings)
    if spread in ("x4", "x16"):
        found = np.sqrt(np.linspace(1, int(spread[1:]), settings))
        return found[np.argsort(np.arange(settings) % 2, kind="stable").argsort()]
    if spread == "wild1":
        found[-1] = 10
    if spread == "wild30":
        found[-max(1, round(0.3 * settings)) :] = 10
    return found


def tables(cell: Cell, count: int) -> tuple[Any, Any]:
    """Draw `count` tables of losses (count, seeds, settings); also returns the true means (settings,)."""
    random, shape = cell.random(), (count, cell.seeds, cell.settings)
    spread = deviations(cell.settings, cell.spread)
    typical = np.sqrt(np.median(spread) ** 2 * 2 * (1 - cell.shared))
    means = np.where(np.arange(cell.settings) % 2 == 1, cell.gap * typical, 0.0)
    common, own = random.standard_normal((*shape[:2], 1)), draw(random, cell.noise, shape)
    if cell.spread == "mixed":
        weight = np.where(np.arange(cell.settings) % 4 < 2, np.sqrt(0.95), 0.0)
        figures = weight * common + np.sqrt(1 - weight**2) * own
    else:
        figures = np.sqrt(cell.shared) * common + np.sqrt(1 - cell.shared) * own * spread
    figures = figures + means
    if cell.noise == "coarse":  # rounded to 1.4 standard deviations of a difference: half of these are 0
        figures = np.round(figures / (1.4 * typical)) * (1.4 * typical)
    return figures, means


SEEDS = (3, 4, 5, 10, 30)
ODD = ("t3", "lognormal", "outliers", "coarse")
UNEQUAL = ("x4", "x16", "wild1", "wild30")

EQUAL_SETTINGS = [
    *(Cell(s, n) for s in (2, 5, 10, 20) for n in (2, *SEEDS)),
    *(Cell(10, n, noise) for noise in ODD for n in SEEDS),
    *(Cell(s, 5, noise) for noise in ODD for s in (2, 5, 20)),
    *(Cell(10, n, shared=shared) for shared in (0.0, 0.95) for n in (5, 10)),
]
UNEQUAL_NOISE = [
    *(Cell(s, n, spread=spread) for spread in UNEQUAL for s in (5, 10, 20) for n in SEEDS),
    *(Cell(10, n, spread="mixed") for n in SEEDS),
    *(Cell(10, n, noise, "x4") for noise in ODD for n in SEEDS),
]
HALF_WORSE = [
    *(Cell(s, n, gap=gap) for gap in (0.3, 1.0) for s in (5, 10, 20) for n in SEEDS),
    *(Cell(10, n, noise, gap=1.0) for noise in ODD for n in SEEDS),
    *(Cell(10, n, spread=spread, gap=1.0) for spread in UNEQUAL for n in SEEDS),
]
NAMED_BASELINE = [
    *(Cell(s, n, baseline=True) for s in (2, 5, 10, 20) for n in SEEDS),
    *(Cell(10, n, noise, baseline=True) for noise in ODD for n in SEEDS),
    *(Cell(10, n, spread=spread, baseline=True) for spread in UNEQUAL for n in SEEDS),
    *(Cell(10, n, gap=1.0, baseline=True) for n in SEEDS),
]

# Percentage of the worse settings that the comparison must detect at least. The figures are from the trial in
# which eleven procedures were compared and this one was chosen.
POWER = {
    Cell(10, 3, gap=2.0): 26,
    Cell(10, 3, gap=4.0): 65,
    Cell(10, 5, gap=1.0): 18,
    Cell(10, 5, gap=1.5): 41,
    Cell(10, 5, gap=2.0): 66,
    Cell(10, 5, gap=4.0): 100,
    Cell(10, 10, gap=0.5): 11,
    Cell(10, 10, gap=1.0): 59,
    Cell(10, 10, gap=1.5): 93,
    Cell(20, 30, gap=0.5): 53,
    Cell(10, 5, spread="wild1", gap=2.0): 53,
    Cell(10, 5, spread="wild1", gap=4.0): 81,
    Cell(10, 5, shared=0.95, gap=2.0): 66,
    Cell(10, 5, gap=2.0, baseline=True): 46,
    Cell(10, 10, gap=1.0, baseline=True): 45,
    Cell(10, 30, gap=0.5, baseline=True): 45,
}
