"""The array protocol on NumPy, with derivatives. See docs/backends.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from microgpt_lab.core.autograd import topological
from microgpt_lab.core.places import Places
from microgpt_lab.core.reprs import preview

from .calls import (
    causal_masks,
    constants,
    copy,
    empty,
    fit,
    joined,
    one_hot_rows,
    product,
    product_fit,
    reshape,
    row_dot,
    row_max,
    row_sum,
    scatter,
    select,
    spread,
    sum_rows,
    swap,
    take,
)
from .distances import by_distance
from .functions import FUNCTIONS, power, power_slope
from .tape import call, into, recording

Pull = Callable[[np.ndarray], np.ndarray]  # from the gradient of a result to that of an operand


class Array:
    """A buffer of numbers (…, T, C), the arrays that it was computed from, and how gradients flow back.

    Only arrays that a gradient was asked for (`tracked`), and what depends on them, remember parents.
    """

    __slots__ = ("data", "parents", "pulls", "tracked")

    def __init__(self, data: np.ndarray, links: Sequence[tuple[Any, Pull]] = (), *, tracked: bool = False):
        self.data = data
        links = [link for link in links if isinstance(link[0], Array) and link[0].tracked]
        self.parents, self.pulls = zip(*links) if links else ((), ())
        self.tracked = tracked or bool(links)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    def backward(self) -> dict[int, np.ndarray]:
        """The gradients of the sum of the numbers here, by the id of the array."""
        grads = {id(self): np.ones_like(self.data)}
        for node in reversed(topological(self)):
            g = grads.pop(id(node)) if node.parents else None
            for parent, pull in zip(node.parents, node.pulls):
                grad = pull(g)
                known = grads.get(id(parent))
                grads[id(parent)] = grad if known is None else call(np.add, known, grad)
        return grads

    def __add__(self, other):
        a, b = self.data, raw(other)
        return Array(call(np.add, a, b), [(self, lambda g: fit(g, a)), (other, lambda g: fit(g, b))])

    def __sub__(self, other):
        a, b = self.data, raw(other)
        to_b = lambda g: call(np.negative, fit(g, b))  # noqa: E731
        return Array(call(np.subtract, a, b), [(self, lambda g: fit(g, a)), (other, to_b)])

    def __mul__(self, other):
        a, b = self.data, raw(other)
        if other is self:
            return self**2.0
        to_a, to_b = lambda g: product_fit(g, b, a), lambda g: product_fit(g, a, b)
        return Array(call(np.multiply, a, b), [(self, to_a), (other, to_b)])

    def __truediv__(self, other):
        a, b = self.data, raw(other)
        y = call(np.divide, a, b)
        to_b = lambda g: call(np.negative, product_fit(call(np.divide, g, b), y, b))  # noqa: E731
        return Array(y, [(self, lambda g: fit(call(np.divide, g, b), a)), (other, to_b)])

    def __pow__(self, n):
        x, n = self.data, float(n)
        y = power(x, n)
        return Array(y, [(self, lambda g: call(np.multiply, g, power_slope(x, y, n)))])

    def __rpow__(self, base):
        """A number to the power of these, as in beta ** step; no gradient flows through it."""
        return Array(call(np.power, float(base), self.data))

    def __neg__(self):
        return self * -1.0

    def __rsub__(self, other):
        return -self + other

    def __rtruediv__(self, other):
        return self**-1.0 * other

    __radd__ = __add__
    __rmul__ = __mul__

    def __gt__(self, other):
        return Condition(call(np.greater, self.data, raw(other)), self.data.dtype)

    def __lt__(self, other):
        return Condition(call(np.less, self.data, raw(other)), self.data.dtype)

    def table(self, rows):
        """A table as a matrix of constants."""
        return Array(constants(rows, self.data.dtype))

    def apply(self, name):
        """A function of each number, by its name in `FUNCTIONS`."""
        f, slope = FUNCTIONS[name]
        x = self.data
        y = f(x)
        return Array(y, [(self, lambda g: call(np.multiply, g, slope(x, y)))])

    def __matmul__(self, other):
        """(…, T, C) @ (C, D), or @ (…, C, D) with the same leading axes."""
        a, b = self.data, other.data
        if a.shape[-1] != b.shape[-2] or b.shape[:-2] not in ((), a.shape[:-2]):
            raise ValueError(f"cannot multiply {a.shape} by {b.shape}")
        if b.ndim == 2:  # one product of all rows
            x = reshape(a, (-1, a.shape[-1]))
            to_a = lambda g: reshape(product(reshape(g, (-1, b.shape[1])), b.T), a.shape)  # noqa: E731
            to_b = lambda g: call(np.matmul, reshape(g, (-1, b.shape[1])).T, x).T  # noqa: E731
            y = reshape(product(x, b), (*a.shape[:-1], b.shape[1]))
        else:
            to_a = lambda g: product(g, swap(b))  # noqa: E731
            to_b = lambda g: product(swap(a), g)  # noqa: E731
            if b.strides[-1] < b.strides[-2]:  # b is swapped, and so shall its gradient be
                to_b = lambda g: swap(product(swap(g), a))  # noqa: E731
            y = product(a, b)
        return Array(y, [(self, to_a), (other, to_b)])

    @property
    def T(self):
        return Array(swap(self.data), [(self, swap)])

    def __getitem__(self, columns):
        """A slice of the last axis."""
        x, index = self.data, (..., columns)
        return Array(x[index], [(self, lambda g: spread(g, x, index))])

    def concat(self, *others):
        """Joined along the last axis."""
        if not others:
            return self
        arrays, links, start = (self, *others), [], 0
        for array in arrays:
            stop = start + array.shape[-1]
            links.append((array, lambda g, start=start, stop=stop: g[..., start:stop]))
            start = stop
        return Array(call(joined, tuple(array.data for array in arrays)), links)

    def reshape(self, height, width):
        x = self.data
        return Array(reshape(x, (height, width)), [(self, lambda g: reshape(g, x.shape))])

    def split_heads(self, heads):
        """(…, T, C) to (…, heads, T, C / heads)."""
        *lead, height, width = shape = self.shape
        y = reshape(self.data, (*lead, height, heads, width // heads)).swapaxes(-2, -3)
        return Array(y, [(self, lambda g: reshape(g.swapaxes(-2, -3), shape))])

    def merge_heads(self):
        """(…, heads, T, D) to (…, T, heads * D)."""
        *lead, heads, height, size = self.shape
        y = reshape(self.data.swapaxes(-2, -3), (*lead, height, heads * size))
        return Array(y, [(self, lambda g: reshape(g, (*lead, height, heads, size)).swapaxes(-2, -3))])

    def causal(self, window=0):
        """-inf at what lies in the future: of S columns, row t of T keeps the first S - T + t + 1, or of
        these the last `window`."""
        height, width = self.shape[-2:]
        if height == 1 and not window:  # the newest token sees all
            return self
        seen, hidden = causal_masks(height, width, window, self.data.dtype)
        return Array(call(np.add, self.data, hidden), [(self, lambda g: call(np.multiply, g, seen))])

    def take(self, ids):
        """Rows by index or at places: (T, C), or (B, T, C) for ids (B, T)."""
        w = self.data
        if isinstance(ids, Places):
            rows = slice(ids.start, ids.stop)
            y = into(empty(w[rows].shape, w.dtype), copy, w[rows])
            return Array(y, [(self, lambda g: spread(g, w, rows))])
        ids = np.asarray(ids)
        y = into(empty((*ids.shape, w.shape[1]), w.dtype), copy, call(take, w, ids, 0))
        return Array(y, [(self, lambda g: sum_rows(reshape(g, (-1, w.shape[1])), ids.reshape(-1), len(w)))])

    def by_distance(self, places):
        """(N, heads) to (heads, T, S): row t - s where a token at t looks back at one at s, else 0."""
        y, pull = by_distance(self.data, places)
        return Array(y, [(self, pull)])

    def pick(self, ids):
        """The number ids[…, t] of each row: (…, T, 1)."""
        ids, *rows, size = np.asarray(ids), *self.shape
        places = call(np.multiply, ids, ids.size)
        into(places, np.add, places, np.arange(ids.size).reshape(ids.shape))
        columns = reshape(np.moveaxis(self.data, -1, 0), (-1,))

        def pull(g):
            grad = call(scatter, g, places, columns.size)
            return np.moveaxis(grad.reshape(size, *rows), 0, -1)

        return Array(call(take, columns, places, None)[..., None], [(self, pull)])

    def sum(self):
        x = self.data
        return Array(call(row_sum, x), [(self, lambda g: np.broadcast_to(g, x.shape))])

    def total(self):
        x = self.data
        y = call(row_sum, reshape(x, (1, -1)))
        return Array(y, [(self, lambda g: np.broadcast_to(g.reshape((1,) * x.ndim), x.shape))])

    def norm(self):
        """The square root of the sum of squares, (1, 1), which no gradient reaches."""
        x = reshape(self.data, (1, -1))
        return Array(call(np.sqrt, call(np.matmul, x, x.T)))

    def max(self):
        x = self.data
        y = call(row_max, x)
        return Array(y, [(self, lambda g: call(np.multiply, g, call(one_hot_rows, x, y)))])

    def logsumexp(self):
        x = self.data
        top = call(row_max, x)
        powers = call(np.subtract, x, top)
        into(powers, np.exp, powers)
        total = call(row_sum, powers)
        y = call(np.log, total)
        into(y, np.add, y, top)
        return Array(y, [(self, lambda g: call(np.multiply, powers, call(np.divide, g, total)))])

    def softmax(self):
        x = self.data
        y = call(np.subtract, x, call(row_max, x))
        into(y, np.exp, y)
        into(y, np.divide, y, call(row_sum, y))

        def pull(g):
            grad = call(np.subtract, g, row_dot(g, y))
            return into(grad, np.multiply, grad, y)

        return Array(y, [(self, pull)])

    def tolist(self):
        """The rows, as lists of floats."""
        if recording.tape is not None:
            raise TypeError("what is recorded cannot depend on single numbers: use where(condition, a, b)")
        return self.data.reshape(-1, self.shape[-1]).tolist()

    def item(self):
        """The single number of an array of shape (1, 1)."""
        return self.tolist()[0][0]

    def __eq__(self, other):
        raise TypeError("arrays have no ==: use where(condition, a, b) with < or >")

    __hash__ = object.__hash__

    def __repr__(self):
        return preview(type(self).__name__, self.data.shape, self.data.flat)


def raw(x):
    if isinstance(x, Condition):
        raise TypeError("a comparison is no number: use where(condition, a, b)")
    return x.data if isinstance(x, Array) else x


class Condition:
    """A comparison, of numbers of this type."""

    __slots__ = ("data", "dtype")
    __repr__ = Array.__repr__

    def __init__(self, data: np.ndarray, dtype: np.dtype):
        self.data, self.dtype = data, dtype

    def __bool__(self):
        raise TypeError("a comparison of arrays is neither true nor false: use where(condition, a, b)")

    def where(self, a, b):
        """`a` where it holds, `b` elsewhere."""
        holds, x, y = self.data, *(np.asarray(raw(n), self.dtype) for n in (a, b))
        to_a = lambda g: fit(call(select, holds, g, 0.0), x)  # noqa: E731
        to_b = lambda g: fit(call(select, holds, 0.0, g), y)  # noqa: E731
        return Array(call(select, holds, x, y), [(a, to_a), (b, to_b)])
