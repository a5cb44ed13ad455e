"""Check gradients against central differences, on tensors of the python backend."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

from microgpt_lab.tensors.tensor import Tensor


def tensor(rows: list[list[float]]) -> Tensor:
    """Return a tensor of the python backend."""
    return Tensor([x for row in rows for x in row], (len(rows), len(rows[0])))


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    """Return a tensor (height, width) of standard normal numbers."""
    rng = Random(seed)
    return tensor([[rng.gauss(0, 1) for _ in range(width)] for _ in range(height)])


def assert_gradients(
    f: Callable[..., Tensor], *inputs: Tensor, step: float = 1e-6, tolerance: float = 1e-5
) -> None:
    """Check the gradients of `f` against central differences, (f(x + h) - f(x - h)) / 2h.

    The gradients are those of a weighted sum over the result of `f`. `step` is h. `tolerance` is relative and
    absolute.
    """
    leaves = [x.tracked() for x in inputs]
    weights = noise(len(inputs[0].data), 1, seed=7).data

    def value(*tensors: Tensor) -> Any:
        y = f(*tensors)
        factors = Tensor((weights * len(y.data))[: len(y.data)], y.shape)
        return (y * factors).total()

    value(*leaves).backward()
    for i, (x, leaf) in enumerate(zip(inputs, leaves, strict=True)):
        for j, number in enumerate(x.data):
            values = []
            for h in (step, -step):
                data = [*x.data[:j], number + h, *x.data[j + 1 :]]
                values.append(value(*inputs[:i], Tensor(data, x.shape), *inputs[i + 1 :]).item())
            expected = (values[0] - values[1]) / (2 * step)
            if not math.isclose(leaf.data[j].grad, expected, rel_tol=tolerance, abs_tol=tolerance):
                single = len(inputs) == 1 and len(x.data) == 1
                which = "" if single else f" (element {j} of input {i}, of shape {x.shape})"
                raise AssertionError(
                    f"wrong gradient at {number:.6g}{which}: it is {leaf.data[j].grad:.6g}, "
                    f"but central differences give {expected:.6g}"
                )
