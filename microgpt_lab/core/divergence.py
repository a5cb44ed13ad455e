"""Divergence: check whether the numbers of a step are finite, and find the first that is not."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from microgpt_lab.core.model import Weights

Metrics = dict[str, float]


def is_finite(weights: Weights, results: list[list[float]]) -> bool:
    """Return whether all results of some steps are finite, and the weights after them `in_range`."""
    return all(math.isfinite(sum(result)) for result in results) and in_range(weights)


def until_divergence(trainer: Any, steps: int, new: Weights, results: list[list[float]]) -> list[Metrics]:
    """Run the steps before one that diverges, one per call, and return their metrics.

    FloatingPointError, which says what diverged, if that is the first step. `new` and `results` are the
    weights after `steps` steps, and what the steps returned.
    """
    if steps > 1:
        return one_by_one(trainer.advance, steps)
    cause = first_non_finite(trainer.weights, trainer.gradients, new)
    norm, loss, *_ = results[0]
    raise FloatingPointError(f"step {trainer.step + 1}: {cause} (loss {loss}, gradient norm {norm})")


def in_range(weights: Weights) -> bool:
    """Return whether each weight matrix's norm has a finite fourth power: up to 1e77, in float32 4e9.

    With larger weights, two matrices can make numbers of a normalized x whose squares overflow. The next
    RMSNorm would divide them by infinity and return 0.
    """
    with ignore_overflow():
        return all(math.isfinite((n * n * n * n).item()) for n in (w.norm() for w in weights.values()))


def ignore_overflow() -> warnings.catch_warnings:
    """Silence NumPy's warnings, because the caller looks for overflows."""
    return warnings.catch_warnings(action="ignore", category=RuntimeWarning)


def one_by_one(advance: Callable[[], list[Metrics]], steps: int) -> list[Metrics]:
    """Run this number of steps, one per call, or those before a step that diverges. Return their metrics.

    FloatingPointError if the first step diverges.
    """
    metrics: list[Metrics] = []
    try:
        for _ in range(steps):
            metrics += advance()
    except FloatingPointError:
        if not metrics:
            raise
    return metrics


def first_non_finite(weights: Weights, gradients: Callable[[], Weights], new: Weights) -> str:
    """Describe the first number of a step that is not finite or is too large: tensor, value and index.

    The order is that of the computation: the weights before the step, their gradients, the new weights.
    """
    with ignore_overflow():
        descriptions = [
            *non_finite("weight", weights, 4.0),
            *non_finite("gradient of", gradients(), 2.0),
            *non_finite("new weight", new, 4.0),
        ]
    return descriptions[0] if descriptions else "overflow"


def non_finite(kind: str, tensors: Weights, power: float) -> Iterator[str]:
    """Describe, for each tensor, the first number whose power is not finite."""
    for name, tensor in tensors.items():
        for i, (row, powers) in enumerate(zip(tensor.tolist(), (tensor**power).tolist(), strict=True)):
            columns = [j for j, x in enumerate(powers) if not math.isfinite(x)]
            if columns:
                yield f"{kind} {name} is {row[columns[0]]} at [{i}, {columns[0]}]"
                break
