"""Find the seeds and combinations that all settings share, so that means are over the same runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from microgpt_lab.report.comparison import FEWEST

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Alignment:
    """Boolean masks of the settings, combinations and seeds to compare, and of the settings that failed."""

    settings: Mask
    combinations: Mask
    seeds: Mask
    failed: Mask

    def table(self, values: Any) -> Any:
        """Average the compared values over the combinations: (seeds, settings)."""
        compared = values[self.settings][:, self.combinations][:, :, self.seeds]
        return compared.sum(1).T / max(1, compared.shape[1])


def align(values: Any, failed: Any) -> Alignment:
    """Choose what to compare from values of shape (settings, combinations, seeds); NaN is a missing run.

    A setting with a `failed` run is not compared, because its surviving seeds are a biased sample. A seed is
    compared if all settings have it. A setting or combination with many missing runs (the sweep has only
    started it, or the grid has a hole) is left out if it would cost the other settings half of their seeds,
    or leave them too few seeds for a claim.
    """
    present = np.isfinite(values) & ~failed
    failed_settings = failed.any((1, 2))
    settings = ~failed_settings & present.any((1, 2))
    combinations = present[settings].any((0, 2)) if settings.any() else np.zeros(values.shape[1], bool)
    while settings.any():
        compared = present[settings][:, combinations]  # (settings, combinations, seeds)
        seeds = compared.all((0, 1))
        most_seeds = compared.all(1).sum(1).max()  # of any single setting
        # With too few seeds, leave out more only if a setting has enough seeds and two settings would remain.
        enough = seeds.sum() >= FEWEST or most_seeds < FEWEST or len(compared) <= 2
        if 2 * seeds.sum() > most_seeds and enough:
            return Alignment(settings, combinations, seeds, failed_settings)
        by_setting, by_combination = compared.mean((1, 2)), compared.mean((0, 2))  # shares of present runs
        if len(by_setting) == 1 or (len(by_combination) > 1 and by_combination.min() <= by_setting.min()):
            combinations[np.flatnonzero(combinations)[by_combination.argmin()]] = False
        else:
            settings[np.flatnonzero(settings)[by_setting.argmin()]] = False
    return Alignment(settings, combinations, np.zeros(values.shape[2], bool), failed_settings)
