"""Find what settings have in common: the seeds and combinations over which like is compared with like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from microgpt_lab.report.comparison import FEWEST

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Alignment:
    """Masks of the settings, combinations and seeds that are compared, and of the settings that failed."""

    settings: Mask
    combinations: Mask
    seeds: Mask
    failed: Mask

    def table(self, values: Any) -> Any:
        """Each seed's mean over the combinations: (seeds, settings)."""
        kept = values[self.settings][:, self.combinations][:, :, self.seeds]
        return kept.sum(1).T / max(1, kept.shape[1])


def align(values: Any, failed: Any) -> Alignment:
    """Align figures of shape (settings, combinations, seeds); NaN is a run that is not there.

    A setting of which a run `failed` is not compared, since the seeds that survive are no fair sample. A
    seed is compared if all settings have it. A setting or combination that would cost the others half of
    their seeds, or leave them too few to claim anything (a sweep that has only begun with it, a hole in the
    grid), is left out instead.
    """
    there = np.isfinite(values) & ~failed
    lost = failed.any((1, 2))
    settings = ~lost & there.any((1, 2))
    combinations = there[settings].any((0, 2)) if settings.any() else np.zeros(values.shape[1], bool)
    while settings.any():
        kept = there[settings][:, combinations]  # (settings, combinations, seeds)
        seeds = kept.all((0, 1))
        best = kept.all(1).sum(1).max()  # of the setting that has most
        claims = seeds.sum() >= FEWEST or best < FEWEST or len(kept) <= 2  # leaving one out would not help
        if 2 * seeds.sum() > best and claims:
            return Alignment(settings, combinations, seeds, lost)
        of_settings, of_combinations = kept.mean((1, 2)), kept.mean((0, 2))
        if len(of_settings) == 1 or (len(of_combinations) > 1 and of_combinations.min() <= of_settings.min()):
            combinations[np.flatnonzero(combinations)[of_combinations.argmin()]] = False
        else:
            settings[np.flatnonzero(settings)[of_settings.argmin()]] = False
    return Alignment(settings, combinations, np.zeros(values.shape[2], bool), lost)
