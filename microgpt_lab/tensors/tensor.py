"""Blocks of numbers: what the python backend computes with.

A `Tensor` holds Values while a gradient is wanted, and plain floats otherwise. On floats the same
code builds no graph at all, which is why evaluation and sampling are cheap.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import repeat
from math import hypot

from microgpt_lab.core import floats
from microgpt_lab.core.autograd import Dot, Number, Value, data_of, topological
from microgpt_lab.core.reprs import preview
from microgpt_lab.tensors.views import Moves, common_shape


def elementwise(f: Callable, careful: Callable | None = None) -> Callable[[Tensor, Tensor | float], Tensor]:
    """`f` of each pair of numbers; `careful` does the same where f raises.

    An axis of length 1 stretches to the length of the other's.
    """

    def method(self: Tensor, other: Tensor | float) -> Tensor:
        a, b, parents, shape = self.data, repeat(other), (self,), self.shape
        if isinstance(other, Tensor):
            shape = shape if shape == other.shape else common_shape(shape, other.shape)
            parents = self.stretch(shape), other.stretch(shape)
            a, b = parents[0].data, parents[1].data
        try:
            return Tensor(list(map(f, a, b)), shape, parents)
        except ArithmeticError:
            return Tensor(list(map(careful or f, a, b)), shape, parents)

    return method


def power(x: Number, n: float) -> Number:
    return x**n if isinstance(x, Value) else floats.power(x, n)


class Tensor(Moves):
    """Numbers in the shape (…, T, C), all of them in the flat list `data`.

    Answers to the array protocol that all backends share (docs/backends.md). `a @ b` makes ONE Value
    an output number. The numbers of one Tensor never depend on each other, so that `backward` has
    only to order the Tensors, and not the thousands of Values.
    """

    __slots__ = ("data", "is_view", "parents", "shape")

    def __init__(
        self, data: list[Number], shape: tuple[int, ...], parents: tuple = (), is_view: bool = False
    ):
        self.data = data
        self.shape = shape
        self.parents = parents if self.is_tracked else ()
        self.is_view = is_view  # of its parents' own Values, moved or repeated

    def __repr__(self) -> str:
        return preview(type(self).__name__, self.shape, self.data)

    @property
    def is_tracked(self) -> bool:
        """Whether the numbers are Values."""
        return isinstance(self.data[0], Value)

    def tracked(self) -> Tensor:
        """The numbers as new Values, to differentiate by them."""
        return self if self.is_tracked else Tensor(list(map(Value, self.data)), self.shape)

    def constant(self, x: float) -> Number:
        """A number as those here are: a float, or a Value with no parents."""
        return Value(x) if self.is_tracked else x

    def propagate(self) -> None:
        """`Value.propagate` of each number, written out for those of one or two parents, which most are."""
        for value in self.data:
            grad = value.grad
            if not grad:
                continue
            parents = value.parents
            if len(parents) == 2:
                (a, b), (to_a, to_b) = parents, value.local_grads
                a.grad += to_a * grad
                b.grad += to_b * grad
            elif len(parents) == 1:
                (a,), (to_a,) = parents, value.local_grads
                a.grad += to_a * grad
            else:
                value.propagate()

    def detach(self) -> Tensor:
        """The numbers as floats, which no gradient reaches."""
        return Tensor([x.data for x in self.data], self.shape) if self.is_tracked else self

    def item(self) -> float:
        """The single number of a Tensor of shape (1, 1)."""
        return data_of(self.data[0])

    def tolist(self) -> list[list[float]]:
        """The rows, of floats."""
        return self.detach().rows

    def norm(self) -> Tensor:
        """The square root of the sum of squares, (1, 1), which no gradient reaches."""
        return Tensor([hypot(*self.detach().data)], (1, 1))

    def backward(self) -> None:
        """As `Value.backward`, for the sum of the numbers here."""
        for x in self.data:
            x.grad = 1.0
        for tensor in reversed(topological(self)):
            if tensor.parents and not tensor.is_view:
                tensor.propagate()

    def _view(self, data: list[Number], shape: tuple[int, ...], *others: Tensor) -> Tensor:
        return Tensor(data, shape, (self, *others), is_view=True)

    __add__ = __radd__ = elementwise(operator.add)
    __sub__ = elementwise(operator.sub)
    __mul__ = __rmul__ = elementwise(operator.mul)
    __truediv__ = elementwise(operator.truediv, floats.divide)
    __pow__ = elementwise(power)
    __gt__ = elementwise(operator.gt)
    __lt__ = elementwise(operator.lt)

    def __neg__(self) -> Tensor:
        return self * -1.0

    def __rsub__(self, other: float) -> Tensor:
        return -self + other

    def __rtruediv__(self, other: float) -> Tensor:
        return self**-1.0 * other

    def apply(self, name: str) -> Tensor:
        """A function of each number: see `Value.apply`."""
        if not self.is_tracked:
            return Tensor(floats.each(name, self.data), self.shape)
        derivative, ys = floats.FUNCTIONS[name][1], floats.each(name, [x.data for x in self.data])
        values = [Value(y, (x,), (derivative(x.data, y),)) for x, y in zip(self.data, ys)]
        return Tensor(values, self.shape, (self,))

    def where(self, a: Tensor | float, b: Tensor | float) -> Tensor:
        """`a` where this comparison holds, `b` elsewhere."""
        a, b = (t if isinstance(t, Tensor) else Tensor([t], (1, 1)) for t in (a, b))
        if a.is_tracked or b.is_tracked:
            a, b = a.tracked(), b.tracked()
        a, b = a.stretch(self.shape), b.stretch(self.shape)
        picked = [x if c else y for c, x, y in zip(self.data, a.data, b.data, strict=True)]
        return Tensor(picked, self.shape, (a, b), is_view=True)

    def reduce(self, f, slopes) -> Tensor:
        """`f` of each row, by its derivatives `slopes(row, y)`: (…, C) to (…, 1)."""
        shape = (*self.shape[:-1], 1)
        if not self.is_tracked:
            return Tensor([f(row) for row in self.rows], shape)
        numbers = []
        for row in self.rows:
            data = [x.data for x in row]
            y = f(data)
            numbers.append(Value(y, row, slopes(data, y)))
        return Tensor(numbers, shape, (self,))

    def sum(self) -> Tensor:
        return self.reduce(sum, lambda row, y: [1.0] * len(row))

    def max(self) -> Tensor:
        return self.reduce(max, lambda row, y: [float(i == row.index(y)) for i in range(len(row))])

    def logsumexp(self) -> Tensor:
        return self.reduce(floats.logsumexp, lambda row, y: [floats.exp(x - y) for x in row])

    def softmax(self) -> Tensor:
        """exp(x - logsumexp(x)) as one Value a number, from x and its row's logsumexp."""
        shares = [floats.softmax(row) for row in self.detach().rows]
        if not self.is_tracked:
            return Tensor([p for row in shares for p in row], self.shape)
        sums, values = self.logsumexp(), []
        for row, row_sum, share in zip(self.rows, sums.data, shares):
            values += [Value(p, (x, row_sum), (p, -p)) for x, p in zip(row, share)]
        return Tensor(values, self.shape, (self, sums))

    def __matmul__(self, other: Tensor) -> Tensor:
        """(…, T, C) @ (C, D), or @ (…, C, D) with the same leading axes, to (…, T, D)."""
        if self.shape[-1] != other.shape[-2] or other.shape[:-2] not in ((), self.shape[:-2]):
            raise ValueError(f"cannot multiply {self.shape} by {other.shape}")
        a, b = self, other
        if a.is_tracked or b.is_tracked:
            a, b = a.tracked(), b.tracked()
        products, rows, matrices = [], a.rows, b.matrices()
        height = len(rows) // len(matrices)
        for i, matrix in enumerate(matrices):
            products += dots(rows[i * height : (i + 1) * height], list(zip(*matrix)))
        kind = Product if a.is_tracked else Tensor
        return kind(products, (*a.shape[:-1], b.shape[-1]), (a, b))


class Product(Tensor):
    """A matrix product of Values, each a `Dot`."""

    __slots__ = ()

    def propagate(self) -> None:
        """`Dot.propagate` of each number, four at a time where a row has them, which is faster."""
        for row in self.rows:
            fours = len(row) // 4 * 4
            for i in range(0, fours, 4):
                p, q, r, s = row[i : i + 4]
                a, b, c, d = p.grad, q.grad, r.grad, s.grad
                if not (a or b or c or d):
                    continue
                for x, k, l, m, n in zip(p.left, p.right, q.right, r.right, s.right):
                    data = x.data
                    x.grad += k.data * a + l.data * b + m.data * c + n.data * d
                    k.grad += data * a
                    l.grad += data * b
                    m.grad += data * c
                    n.grad += data * d
            for dot in row[fours:]:
                dot.propagate()


def dots(rows: list[list[Number]], columns: list[tuple[Number, ...]]) -> list[Number]:
    """The dot product of each row with each column."""
    mul = operator.mul
    if not isinstance(rows[0][0], Value):
        return [sum(map(mul, row, column)) for row in rows for column in columns]
    factors = [(column, [x.data for x in column]) for column in columns]
    products, new = [], object.__new__
    for row in rows:
        data = [x.data for x in row]
        for column, column_data in factors:
            dot = new(Dot)  # calling the class takes up to twice as long
            dot.data, dot.grad = sum(map(mul, data, column_data)), 0.0
            dot.left, dot.right = row, column
            products.append(dot)
    return products
