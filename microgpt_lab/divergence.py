"""What is to blame when a step does not come out as finite numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from microgpt_lab.model import Weights

if TYPE_CHECKING:
    from microgpt_lab.trainer import Trainer


def finite(weights: Weights) -> bool:
    """Whether all weights are, and their squares too: from 1e154 on (in float32 1e19) norms are wrong."""
    norms = [w.norm().item() for w in weights.values()]
    return all(math.isfinite(norm * norm) for norm in norms)


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
    """The next step's number, and the first tensor with a number that is not finite, or whose square is
    not: its name, the value and its place.
    """
    found = [
        *odd("weight", trainer.weights),
        *odd("gradient of", trainer.gradients()),
        *odd("new weight", trainer.packing.unpack(new)),
    ]
    figures = f"loss {loss}, gradient norm {norm}"
    return f"step {trainer.step + 1}: {found[0] if found else 'overflow'} ({figures})"


def odd(kind: str, tensors: Weights) -> Iterator[str]:
    for name, tensor in tensors.items():
        for i, row in enumerate(tensor.tolist()):
            for j, x in enumerate(row):
                if not math.isfinite(x * x):
                    yield f"{kind} {name} is {x} at [{i}, {j}]"
                    return
