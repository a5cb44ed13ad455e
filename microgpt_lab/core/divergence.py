"""What is to blame when a step does not come out as finite numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

from microgpt_lab.core.model import Weights

Metrics = dict[str, float]


def finite(weights: Weights) -> bool:
    """Whether all weights are, and their fourth powers too: up to 1e77, in float32 4e9.

    Beyond, what two matrices make of a normed x may have squares that overflow, and its norm is 0.
    """
    with overflow_expected():
        return all(math.isfinite((n * n * n * n).item()) for n in (w.norm() for w in weights.values()))


def overflow_expected() -> warnings.catch_warnings:
    """Silences NumPy's warnings: where a number overflows is what is being asked."""
    return warnings.catch_warnings(action="ignore", category=RuntimeWarning)


def one_by_one(advance: Callable[[], list[Metrics]], steps: int) -> list[Metrics]:
    """Make a step with each call, until one diverges or all are made; the metrics of those that were."""
    made: list[Metrics] = []
    try:
        for _ in range(steps):
            made += advance()
    except FloatingPointError:
        if not made:
            raise
    return made


def blame(weights: Weights, gradients: Callable[[], Weights], new: Weights) -> str:
    """The first number of a step that is not finite, or too large: its tensor's name, the value, its index.

    In the order in which a step computes them: the weights before it, their gradients, the new weights.
    """
    with overflow_expected():
        found = [
            *odd("weight", weights, 4.0),
            *odd("gradient of", gradients(), 2.0),
            *odd("new weight", new, 4.0),
        ]
    return found[0] if found else "overflow"


def odd(kind: str, tensors: Weights, power: float) -> Iterator[str]:
    """Of each tensor the first number of which this power is not finite."""
    for name, tensor in tensors.items():
        for i, (row, high) in enumerate(zip(tensor.tolist(), (tensor**power).tolist(), strict=True)):
            places = [j for j, x in enumerate(high) if not math.isfinite(x)]
            if places:
                yield f"{kind} {name} is {row[places[0]]} at [{i}, {places[0]}]"
                break
