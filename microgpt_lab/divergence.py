"""What is to blame when a step does not come out as finite numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from microgpt_lab.model import Weights

if TYPE_CHECKING:
    from microgpt_lab.trainer import Trainer


def finite(weights: Weights) -> bool:
    """Whether all weights are, and their fourth powers too: up to 1e77, in float32 4e9.

    Beyond, what two matrices make of a normed x may have squares that overflow, and its norm is 0.
    """
    with overflow_expected():
        return all(math.isfinite((n * n * n * n).item()) for n in (w.norm() for w in weights.values()))


def overflow_expected() -> warnings.catch_warnings:
    """Silences NumPy's warnings: where a number overflows is what is being asked."""
    return warnings.catch_warnings(action="ignore", category=RuntimeWarning)


def one_by_one(trainer: Trainer, steps: int) -> list[dict[str, float]]:
    """As many of these steps as come out finite, and their figures."""
    made: list[dict[str, float]] = []
    try:
        for _ in range(steps):
            made += trainer.advance()
    except FloatingPointError:
        if not made:
            raise
    return made


def blame(trainer: Trainer, new: Weights, loss: float, norm: float) -> str:
    """The next step's number, and the first tensor with a number that is not finite, or too large: its
    name, the value and its place.
    """
    with overflow_expected():
        found = [
            *odd("weight", trainer.weights, 4.0),
            *odd("gradient of", trainer.gradients(), 2.0),
            *odd("new weight", trainer.packing.unpack(new), 4.0),
        ]
    figures = f"loss {loss}, gradient norm {norm}"
    return f"step {trainer.step + 1}: {found[0] if found else 'overflow'} ({figures})"


def odd(kind: str, tensors: Weights, power: float) -> Iterator[str]:
    """Of each tensor the first number of which this power is not finite."""
    for name, tensor in tensors.items():
        for i, (row, high) in enumerate(zip(tensor.tolist(), (tensor**power).tolist(), strict=True)):
            places = [j for j, x in enumerate(high) if not math.isfinite(x)]
            if places:
                yield f"{kind} {name} is {row[places[0]]} at [{i}, {places[0]}]"
                break
