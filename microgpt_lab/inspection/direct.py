"""Split the numbers of a tensor into the shares that earlier tensors have in them.

A sum of numbers that are sums themselves, or their product with a constant, is a sum of the same terms.
`carry` follows the recorded graph from tensors whose shares are given to a later one. Whether a Value is
linear in its parents is read from their numbers and its local derivatives, so that it works for every part.

Where a Value is not linear, something is held at the number that it has, so that the shares still add up:
a norm is x times a scale that depends on x too, and the scale is held (as `apply_ln_to_stack` of
TransformerLens does); of another function of one number, the ratio f(x) / x is held (DeepLIFT's rescale rule,
Shrikumar et al., 2017). Gradient times activation would not do: that of a norm adds up to 0, because the norm
does not change when x is scaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from microgpt_lab.core.autograd import Value
from microgpt_lab.tensors.dot import Dot
from microgpt_lab.tensors.tensor import Product, Tensor

EQUAL = 1e-13  # largest relative difference between a Value and what a linear function would give


class Held(NamedTuple):
    """A tensor for which something was held, and the indices of the given tensors that it depends on."""

    tensor: Tensor
    starts: frozenset[int]


class Shares:
    """The shares of Values in K terms.

    found: those of each Value that depends on a term, (K,), by the Value's id.
    holds: how often something was held on the way to it.
    held: where, in order.
    """

    def __init__(self, terms: int):
        self.none = np.zeros(terms)
        self.found: dict[int, np.ndarray] = {}
        self.holds: dict[int, int] = {}
        self.held: list[Held] = []
        self.rows: dict[int, np.ndarray] = {}  # those of the rows of matrix products

    def of(self, values: Sequence[Value]) -> np.ndarray:
        """Return the shares of some Values, (values, K)."""
        return np.array([self.found.get(id(value), self.none) for value in values])

    def set(self, value: Value, shares: np.ndarray, holds: int) -> None:
        self.found[id(value)], self.holds[id(value)] = shares, holds

    def product(self, tensor: Tensor, left: bool, right: bool) -> bool:
        """Compute those of a matrix product of which a side, or both, depends on terms. Was a side held?"""
        for dot in tensor.data:
            assert isinstance(dot, Dot)
            levels = [
                self.level(row) if live else None for row, live in ((dot.left, left), (dot.right, right))
            ]
            row, factors, level = dot.left, dot.right, levels[0]
            if level is None or (levels[1] is not None and levels[1] < level):
                row, factors, level = dot.right, dot.left, levels[1]
            if id(row) not in self.rows:
                self.rows[id(row)] = self.of(row)
            shares = np.array([factor.data for factor in factors]) @ self.rows[id(row)]
            self.set(dot, shares, (level or 0) + (left and right))
        return left and right

    def level(self, row: Sequence[Value]) -> int | None:
        return max((self.holds[id(value)] for value in row if id(value) in self.holds), default=None)

    def each(self, tensor: Tensor) -> bool:
        """Compute those of numbers with few parents. Was something held?"""
        held = False
        for value in tensor.data:
            live = [(x, slope) for x, slope in zip(value.parents, value.local_grads) if id(x) in self.found]
            if live and (terms := self.linear_terms(value, live)):
                used, holds = terms
                level = max(self.holds[id(x)] for x, _ in used)
                self.set(
                    value, sum((self.found[id(x)] * slope for x, slope in used), self.none), level + holds
                )
                held = held or holds
            elif live:
                held = True
        return held

    def linear_terms(self, value: Value, live: list[tuple[Value, float]]) -> tuple[list, bool] | None:
        """Return the parents, with factors, in which a number is linear, and whether others are held."""
        if is_sum(value.data, list(zip(value.parents, value.local_grads))) or is_sum(value.data, live):
            return live, False
        if alone := [pair for pair in live if is_sum(value.data, [pair])]:  # a product: hold one factor
            return [min(alone, key=lambda pair: self.holds[id(pair[0])])], True
        if len(live) == 1 and live[0][0].data:
            return [(live[0][0], value.data / live[0][0].data)], True
        return None


def is_sum(y: float, terms: Sequence[tuple[Value, float]]) -> bool:
    """Return whether y is the sum of parents times their local derivatives, as a linear function is."""
    products = [x.data * slope for x, slope in terms]
    return abs(sum(products) - y) <= EQUAL * (abs(y) + sum(map(abs, products)))


def carry(root: Tensor, starts: Sequence[tuple[Tensor, np.ndarray]]) -> Shares:
    """Compute the shares of all tensors from the `starts`, whose shares (numbers, K) are given, to `root`."""
    shares, flows = Shares(starts[0][1].shape[1]), {}
    for i, (tensor, each) in enumerate(starts):
        flows[id(tensor)] = frozenset([i])
        for value, own in zip(tensor.data, each, strict=True):
            shares.set(value, own, 0)
    for tensor in between(root, set(flows)):
        live = [id(parent) in flows for parent in tensor.parents]
        if not any(live):
            continue
        flow = frozenset().union(*(flows.get(id(parent), ()) for parent in tensor.parents))
        flows[id(tensor)] = flow
        if not tensor.is_view:
            held = shares.product(tensor, *live) if isinstance(tensor, Product) else shares.each(tensor)
            if held:
                shares.held.append(Held(tensor, flow))
    return shares


def between(root: Tensor, stops: set[int]) -> list[Tensor]:
    """List `root` and its ancestors, parents before children, up to the `stops` (ids), which are left out."""
    order: list[Tensor] = []
    stack: list[Any] = [root]
    seen = set(stops)
    while stack:
        tensor = stack.pop()
        if tensor is None:
            order.append(stack.pop())
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack += (tensor, None, *tensor.parents)
    return order
