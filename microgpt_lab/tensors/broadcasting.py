"""Elementwise operations on traced tensors, and the gradients of operands that were broadcast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from microgpt_lab.core.places import Table
from microgpt_lab.tensors.arrays import Comparison, raw
from microgpt_lab.tensors.graph import Untraceable, is_number
from microgpt_lab.tensors.shapes import DOCS, LENGTH, common_shape, same


class Condition(Comparison):
    """A comparison, for `where`."""

    def __init__(self, data: Any):
        self.data = data

    def where(self, a: Any, b: Any) -> Any:
        """Select `a` where the comparison holds, and `b` elsewhere."""
        condition = self.data
        a, b = (x if hasattr(x, "node") else condition.constant(x) for x in (a, b))
        tensors = [condition, a, b]
        if any(len(x.shape) == 4 for x in tensors):
            tensors = [x.over_heads() if len(x.shape) == 3 and x.shape[0] is DOCS else x for x in tensors]
        condition, x, y = tensors
        shape = common_shape(common_shape(condition.shape, x.shape), y.shape)
        pulls = (
            lambda g: None,
            lambda g: fit(Condition(condition).where(g, 0.0), x.shape),
            lambda g: fit(Condition(condition).where(0.0, g), y.shape),
        )
        return condition.make("where", tensors, shape, pulls)


def each(op: Any, a: Any, b: Any, to_a: Any, to_b: Any = None) -> Any:
    """Apply an operation to each number of `a`, and of `b` if it has two operands.

    to_a, to_b: the gradient of the operand, given that of the result, both operands and the result.
    """
    if b is not None and not hasattr(raw(b), "node"):
        b = a.constant(b)
    tensors = [a] if b is None else [a, b]
    if any(len(x.shape) == 4 for x in tensors):
        tensors = [x.over_heads() if len(x.shape) == 3 and x.shape[0] is DOCS else x for x in tensors]
    elif any(len(x.shape) == 3 and x.shape[0] is not DOCS for x in tensors):  # rows of heads
        heads, _, width = next(x.shape for x in tensors if len(x.shape) == 3)
        if any(not is_number(x) and (x.shape[0], x.shape[-1]) != (heads, width) for x in tensors):
            shapes = " and ".join(str(x.shape) for x in tensors)
            raise Untraceable(f"an operation on weights that are split into heads, and others: {shapes}")
        tensors = [x.merge_heads() if len(x.shape) == 3 else x for x in tensors]
        return each(op, tensors[0], tensors[1] if b is not None else None, to_a, to_b).split_heads(heads)
    longest = max(tensors, key=lambda x: len(x.shape)).shape
    if longest[-1] is LENGTH and longest[-2] is not LENGTH:  # rows must be tokens
        tensors = [x.T for x in tensors]
        return each(op, tensors[0], tensors[1] if b is not None else None, to_a, to_b).T
    shape = tensors[0].shape
    for x in tensors[1:]:
        shape = common_shape(shape, x.shape)
    x, z = tensors[0], tensors[-1]
    result: list[Any] = []
    pulls = [
        lambda g: fit(to_a(g, x, z, result[0]), x.shape),
        lambda g: fit(to_b(g, x, z, result[0]), z.shape),
    ]
    y = a.make(op, tensors, shape, pulls if to_a else ())
    result.append(y.detached())
    return y


def stretched(x: Any, shape: Any) -> Any:
    """Repeat x to this shape."""
    return x if same(x.shape, shape) else x.make("stretch", [x], shape)


def fit(g: Any, shape: Any) -> Any:
    """Sum a gradient over the copies of a number that was broadcast."""
    if same(g.shape, shape):
        return g
    if same(shape, (1, 1)):
        return g.total()
    if same(shape[-1:], (1,)) and not same(g.shape[-1:], (1,)):
        return fit(g.sum(), shape)
    if len(shape) == 2 and same(shape[-1:], g.shape[-1:]):
        return g.make("colsum", [g], shape)
    if len(shape) == 3 and shape[0] is not DOCS:  # a row for each head
        return fit(g.merge_heads(), (1, shape[0] * shape[2])).split_heads(shape[0])
    if len(shape) == 4 and g.shape[-1] is LENGTH:  # the same scores for all heads
        if g.strides[-1] != 1:
            return fit(g.T, (*shape[:2], shape[3], shape[2])).T
        return g.make("headsum", [g], shape)
    if len(shape) == 4 and same(shape[1:2], (1,)):  # the same for all heads
        merged, width = g.merge_heads(), g.shape[-1]
        total, *others = [merged[i * width : (i + 1) * width] for i in range(g.shape[1])]
        for other in others:
            total = total + other
        return total.split_heads(1)
    raise Untraceable(f"{shape} broadcast to {g.shape}")


def contiguous(shape: Sequence[Any]) -> tuple[Any, ...]:
    """Return the strides of numbers as they lie in memory, where the heads of a token lie side by side."""
    axes = [size for size in shape if size is not DOCS]
    width = axes[-1]
    if width is LENGTH:
        return ("TT", "T", 1)[-len(axes) :]
    return (width, axes[0] * width, 1) if len(axes) == 3 else (width, 1)


def strip_of(rows: Table, longest: int) -> Table:
    """Return a table by distance as strips, (heads, 2 longest - 1)."""
    known, zero = list(rows[:longest]), [0.0] * len(rows[0])
    return Table(zip(*([zero] * (longest - len(known)) + known[::-1] + [zero] * (longest - 1))))


# The gradient of an operand x, given that of the result y = f(x).
SLOPES = {
    "exp": lambda g, x, _, y: g * y,
    "log": lambda g, x, _, y: g / x,
    "sqrt": lambda g, x, _, y: g * 0.5 / y,
    "tanh": lambda g, x, _, y: g * (1.0 - y * y),
    "erf": lambda g, x, _, y: g * ((-(x * x)).apply("exp") * (2 / math.sqrt(math.pi))),
    "sigmoid": lambda g, x, _, y: g * (y * (1.0 - y)),
    "softplus": lambda g, x, _, y: g * x.apply("sigmoid"),
    "relu": lambda g, x, _, y: (x > 0.0).where(g, 0.0),
    "abs": lambda g, x, _, y: g * each("sign", x, None, None),
}
