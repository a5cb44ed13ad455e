"""Reverse-mode automatic differentiation of scalars, in pure Python.

>>> a, b = Value(2.0), Value(-3.0)
>>> y = (a * b).apply("tanh") + a**2
>>> y.backward()
>>> a.grad  # dy/da = b (1 - tanh(ab)²) + 2a
3.9999...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from microgpt_lab.core import floats

Number = Any  # a float or a Value


class Value:
    """A number in a computation graph, with its gradient.

    `local_grads[i]` is its derivative with respect to `parents[i]`. `backward` applies the chain rule to
    every Value that this one depends on (Linnainmaa, 1970; the interface is micrograd's, Karpathy, 2020).
    """

    __slots__ = ("data", "grad", "local_grads", "parents")

    def __init__(self, data: float, parents: Sequence[Value] = (), local_grads: Sequence[float] = ()):
        self.data = data
        self.grad = 0.0
        self.parents = parents
        self.local_grads = local_grads

    def __add__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return Value(self.data + other.data, (self, other), (1.0, 1.0))
        return Value(self.data + other, (self,), (1.0,))

    def __sub__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return Value(self.data - other.data, (self, other), (1.0, -1.0))
        return Value(self.data - other, (self,), (1.0,))

    def __mul__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return Value(self.data * other.data, (self, other), (other.data, self.data))
        return Value(self.data * other, (self,), (other,))

    def __truediv__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            y, inverse = floats.divide(self.data, other.data), floats.divide(1.0, other.data)
            return Value(y, (self, other), (inverse, -y * inverse))
        return Value(floats.divide(self.data, other), (self,), (floats.divide(1.0, other),))

    def __pow__(self, n: float) -> Value:
        derivative = n * floats.power(self.data, n - 1) if n else 0.0
        return Value(floats.power(self.data, n), (self,), (derivative,))

    def __neg__(self) -> Value:
        return self * -1.0

    def __rsub__(self, other: float) -> Value:
        return Value(other - self.data, (self,), (-1.0,))

    def __rtruediv__(self, other: float) -> Value:
        return Value(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def __gt__(self, other: Value | float) -> bool:
        return self.data > data_of(other)

    def __lt__(self, other: Value | float) -> bool:
        return self.data < data_of(other)

    def apply(self, name: str) -> Value:
        """Apply a function by its name in `floats.FUNCTIONS`: exp, log, tanh …"""
        f, derivative = floats.FUNCTIONS[name]
        y = f(self.data)
        return Value(y, (self,), (derivative(self.data, y),))

    def propagate(self) -> None:
        """Add this gradient times `local_grads` to the gradients of the parents: the chain rule."""
        grad = self.grad
        if grad:
            for parent, local_grad in zip(self.parents, self.local_grads):
                parent.grad += local_grad * grad

    def backward(self) -> None:
        """Add d self / d v to `v.grad` for every Value v that this one depends on."""
        self.grad = 1.0
        for value in reversed(topological(self)):
            value.propagate()

    def __repr__(self) -> str:
        return f"Value(data={self.data:.6g}, grad={self.grad:.6g})"


def data_of(x: Number) -> float:
    return x.data if isinstance(x, Value) else x


def topological(root: Any) -> list[Any]:
    """List `root` and its ancestors, parents before children. No recursion, because graphs are deep."""
    order, seen, stack = [], set(), [root]
    while stack:
        node = stack.pop()
        if node is None:  # all parents of the next node are in `order`
            order.append(stack.pop())
        elif node not in seen:
            seen.add(node)
            stack += (node, None, *node.parents)
    return order
