"""The tensors of the python backend.

A `Tensor` holds Values where a gradient is needed, and floats otherwise. On floats the same code
builds no graph, so that evaluation and sampling are cheap.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from itertools import chain, repeat
from math import hypot

from microgpt_lab.core import floats
from microgpt_lab.core.autograd import Number, Value, data_of, topological
from microgpt_lab.core.places import Table
from microgpt_lab.core.reprs import preview
from microgpt_lab.tensors.dot import Dot
from microgpt_lab.tensors.views import Views, common_shape


def elementwise(f: Callable, safe: Callable | None = None) -> Callable[[Tensor, Tensor | float], Tensor]:
    """Return a method that applies `f` to all pairs, or `safe` to all if `f` raises.

    An axis of length 1 is broadcast to the length of the other's.
    """

    def method(self: Tensor, other: Tensor | float) -> Tensor:
        a, b, parents, shape = self.data, repeat(other), (self,), self.shape
        if isinstance(other, Tensor):
            shape = shape if shape == other.shape else common_shape(shape, other.shape)
            parents = self.broadcast_to(shape), other.broadcast_to(shape)
            a, b = parents[0].data, parents[1].data
        try:
            return Tensor(list(map(f, a, b)), shape, parents)
        except ArithmeticError:
            return Tensor(list(map(safe or f, a, b)), shape, parents)

    return method


def power(x: Number, n: float) -> Number:
    return x**n if isinstance(x, Value) else floats.power(x, n)


class Tensor(Views):
    """Numbers of shape (…, T, C), in the flat list `data`.

    It implements the array protocol that all backends share (docs/backends.md). `a @ b` makes ONE Value
    per output number. The numbers of a Tensor never depend on each other, so that `backward` sorts only
    the Tensors, and not the thousands of Values.
    """

    __slots__ = ("data", "is_view", "parents", "shape")

    def __init__(
        self, data: list[Number], shape: tuple[int, ...], parents: tuple = (), is_view: bool = False
    ):
        self.data = data
        self.shape = shape
        self.parents = parents if self.is_tracked else ()
        self.is_view = is_view  # whether `data` has its parents' own Values, moved or repeated

    def __repr__(self) -> str:
        return preview(type(self).__name__, self.shape, self.data)

    @property
    def is_tracked(self) -> bool:
        """Whether the numbers are Values."""
        return isinstance(self.data[0], Value)

    def table(self, rows: Table) -> Tensor:
        """Return a table as a matrix of constants, to compute with these numbers."""
        return constants(rows)

    def tracked(self) -> Tensor:
        """Return the numbers as new Values, to compute gradients with respect to them."""
        return self if self.is_tracked else Tensor(list(map(Value, self.data)), self.shape)

    def constant(self, x: float) -> Number:
        """Convert a float to the type of these numbers: a float, or a Value without parents."""
        return Value(x) if self.is_tracked else x

    def propagate(self) -> None:
        """Propagate gradients: `Value.propagate`, inlined for one or two parents, the usual case."""
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
        """Return the numbers as floats, without gradient."""
        return Tensor([x.data for x in self.data], self.shape) if self.is_tracked else self

    def item(self) -> float:
        """Return the number of a Tensor of shape (1, 1)."""
        return data_of(self.data[0])

    def tolist(self) -> list[list[float]]:
        """Return the rows as lists of floats."""
        return self.detach().rows

    def norm(self) -> Tensor:
        """The square root of the sum of squares, (1, 1), without gradient."""
        return Tensor([hypot(*self.detach().data)], (1, 1))

    def backward(self) -> None:
        """Compute gradients as `Value.backward` does, of the sum of all numbers."""
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
        """Apply a function to each number: see `Value.apply`."""
        if not self.is_tracked:
            return Tensor(floats.each(name, self.data), self.shape)
        derivative, ys = floats.FUNCTIONS[name][1], floats.each(name, [x.data for x in self.data])
        values = [Value(y, (x,), (derivative(x.data, y),)) for x, y in zip(self.data, ys)]
        return Tensor(values, self.shape, (self,))

    def where(self, a: Tensor | float, b: Tensor | float) -> Tensor:
        """Select `a` where this comparison holds, and `b` elsewhere."""
        a, b = (t if isinstance(t, Tensor) else Tensor([t], (1, 1)) for t in (a, b))
        if a.is_tracked or b.is_tracked:
            a, b = a.tracked(), b.tracked()
        shape = common_shape(self.shape, a.shape, b.shape)
        condition, a, b = (t.broadcast_to(shape) for t in (self, a, b))
        picked = [x if c else y for c, x, y in zip(condition.data, a.data, b.data, strict=True)]
        return Tensor(picked, shape, (a, b), is_view=True)

    def reduce(self, f, derivatives) -> Tensor:
        """Apply `f` to each row: (…, C) to (…, 1). `derivatives(row, y)` are those of y = f(row)."""
        shape = (*self.shape[:-1], 1)
        if not self.is_tracked:
            return Tensor([f(row) for row in self.rows], shape)
        numbers = []
        for row in self.rows:
            data = [x.data for x in row]
            y = f(data)
            numbers.append(Value(y, row, derivatives(data, y)))
        return Tensor(numbers, shape, (self,))

    def sum(self) -> Tensor:
        return self.reduce(sum, lambda row, y: [1.0] * len(row))

    def max(self) -> Tensor:
        return self.reduce(max, lambda row, y: [float(i == row.index(y)) for i in range(len(row))])

    def logsumexp(self) -> Tensor:
        return self.reduce(floats.logsumexp, lambda row, y: [floats.exp(x - y) for x in row])

    def softmax(self) -> Tensor:
        """exp(x - logsumexp(x)), with one Value per number. Its parents are x and its row's logsumexp."""
        probabilities = [floats.softmax(row) for row in self.detach().rows]
        if not self.is_tracked:
            return Tensor([p for row in probabilities for p in row], self.shape)
        sums, values = self.logsumexp(), []
        for row, row_sum, ps in zip(self.rows, sums.data, probabilities):
            values += [Value(p, (x, row_sum), (p, -p)) for x, p in zip(row, ps)]
        return Tensor(values, self.shape, (self, sums))

    def __matmul__(self, other: Tensor) -> Tensor:
        """(…, T, C) @ (C, D), or @ (…, C, D) with the same leading axes: (…, T, D)."""
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
    """A matrix product whose numbers are `Dot` Values."""

    __slots__ = ()

    def propagate(self) -> None:
        """Propagate each number's gradient, four numbers of a row at a time because that is faster."""
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


@lru_cache(64)
def constants(rows: Table) -> Tensor:
    return Tensor(list(chain.from_iterable(rows)), (len(rows), len(rows[0])))


def dots(rows: list[list[Number]], columns: list[tuple[Number, ...]]) -> list[Number]:
    """Compute the dot product of each row with each column."""
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
