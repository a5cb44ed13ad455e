"""When a training pauses: at evaluations, and where something watches it."""

from __future__ import annotations

from typing import Any


def next_evaluation(trainer: Any, step: int) -> int:
    """Return the next step, after this one, that ends with an evaluation."""
    every = trainer.eval_every or trainer.steps
    return min(trainer.steps, step - step % every + every)


def next_observation(trainer: Any) -> int:
    """Return the step up to which a backend may compute in one call, of about a second at most."""
    step = trainer.step
    watched = [step - step % n + n for n in getattr(trainer.watch, "every", ())]
    fused = min(trainer.steps_per_second, trainer.backend.fused)
    return min(step + fused, next_evaluation(trainer, step), *watched)
