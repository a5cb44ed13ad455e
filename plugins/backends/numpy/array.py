"""Backpropagation through whole arrays: the array protocol (docs/backends.md) on NumPy.

>>> w = Array(np.array([[3.0], [4.0]]), tracked=True)
>>> y = (Array(np.array([[1.0, 2.0]])) @ w) ** 2.0
>>> y.backward()
>>> w.grad.tolist()  # dy/dw = 2 (x w) xᵀ
[[22.0], [44.0]]
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from microgpt_lab.core.autograd import topological
from microgpt_lab.core.places import indices
from microgpt_lab.core.reprs import preview
from microgpt_lab.tensors.arrays import Comparison, WholeArray, causal_mask, constants, erf, raw, sigmoid


class Array(WholeArray):
    """Numbers (…, T, C), and how they were computed.

    Each operation computes its result at once, and links it to each operand with a function that turns the
    gradient of the result into that of the operand: the chain rule, as a vector-Jacobian product. Only arrays
    that need a gradient are linked: those that are `tracked`, and what depends on them.
    """

    __slots__ = ("grad", "parents", "pulls", "tracked")

    def __init__(self, data: np.ndarray, *links: tuple[Any, Callable], tracked: bool = False):
        self.data, self.grad, self.tracked = data, None, tracked
        self.parents, self.pulls = (), ()
        for operand, pull in links:
            if isinstance(operand, Array) and operand.tracked:
                self.parents += (operand,)
                self.pulls += (pull,)
                self.tracked = True

    @np.errstate(all="ignore")  # overflows are found by the caller
    def backward(self) -> None:
        """Compute the gradient of the sum of these numbers, as `grad` of the leaves: the `tracked` arrays."""
        self.grad = np.ones_like(self.data)
        for array in reversed(topological(self)):
            for parent, pull in zip(array.parents, array.pulls):
                grad = pull(array.grad)
                parent.grad = grad if parent.grad is None else parent.grad + grad
            if array.parents:
                array.grad = None  # only leaves keep theirs, which takes half the memory

    def __add__(self, other):
        return Array(self.data + raw(other), (self, lambda g: fit(g, self)), (other, lambda g: fit(g, other)))

    def __sub__(self, other):
        a, b = self.data, raw(other)
        return Array(a - b, (self, lambda g: fit(g, a)), (other, lambda g: fit(-g, b)))

    def __mul__(self, other):
        a, b = self.data, raw(other)
        return Array(a * b, (self, lambda g: fit(g * b, a)), (other, lambda g: fit(g * a, b)))

    def __truediv__(self, other):
        a, b = self.data, raw(other)
        return Array(a / b, (self, lambda g: fit(g / b, a)), (other, lambda g: fit(-g * (a / b) / b, b)))

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, n):
        x, n = self.data, float(n)
        return Array(x**n, (self, lambda g: g * (n * x ** (n - 1)) if n else g * 0))

    def __gt__(self, other):
        return Condition(self.data > raw(other), self.data.dtype)

    def __lt__(self, other):
        return Condition(self.data < raw(other), self.data.dtype)

    def apply(self, name):
        """A function of each number, by its name in `FUNCTIONS`."""
        f, derivative = FUNCTIONS[name]
        x = self.data
        y = f(x)
        return Array(y, (self, lambda g: g * derivative(x, y)))

    @np.errstate(invalid="ignore")  # OpenBLAS raises it now and then where every number is finite
    def __matmul__(self, other):
        """(…, T, C) @ (C, D), or @ (…, C, D) with the same leading axes: (…, T, D)."""
        a, b = self.data, other.data
        if a.shape[-1] != b.shape[-2] or b.shape[:-2] not in ((), a.shape[:-2]):
            raise ValueError(f"cannot multiply {a.shape} by {b.shape}")
        to_b = lambda g: np.dot(rows(g).T, rows(a)).T if b.ndim == 2 else product(a.mT, g)  # noqa: E731
        return Array(product(a, b), (self, lambda g: product(g, b.mT)), (other, to_b))

    @property
    def T(self):
        return Array(self.data.mT, (self, lambda g: g.mT))

    def reshape(self, height, width):
        return Array(self.data.reshape(height, width), (self, lambda g: g.reshape(self.shape)))

    def split_heads(self, heads):
        """(…, T, C) to (…, heads, T, C / heads)."""
        *lead, T, C = self.shape
        y = self.data.reshape(*lead, T, heads, C // heads).swapaxes(-2, -3)
        return Array(y, (self, lambda g: g.swapaxes(-2, -3).reshape(self.shape)))

    def merge_heads(self):
        """(…, heads, T, D) to (…, T, heads * D)."""
        *lead, heads, T, D = self.shape
        y = self.data.swapaxes(-2, -3).reshape(*lead, T, heads * D)
        return Array(y, (self, lambda g: g.reshape(*lead, T, heads, D).swapaxes(-2, -3)))

    def __getitem__(self, columns):
        x, index = self.data, (..., columns)
        return Array(x[index], (self, lambda g: scatter(g, x, index)))

    def concat(self, *others):
        if not others:
            return self
        links, stop = [], 0
        for array in (self, *others):
            start, stop = stop, stop + array.shape[-1]
            links.append((array, lambda g, part=slice(start, stop): g[..., part]))
        return Array(np.concatenate([array.data for array, _ in links], -1), *links)

    def take(self, ids):
        """Rows by index or at places: (T, C), or (B, T, C) for ids (B, T)."""
        w, ids = self.data, np.asarray(indices(ids))
        y = w.T.take(ids, 1).transpose(*range(1, ids.ndim + 1), 0)  # laid out as by `product`
        return Array(y, (self, lambda g: scatter(g, w, ids)))

    def by_distance(self, places):
        """(N, heads) to (heads, T, S): row t - s where a token at t looks back at one at s, else 0."""
        apart = np.arange(places.start, places.stop)[:, None] - np.arange(places.stop)
        near = (apart >= 0) & (apart < self.shape[0])
        y = Condition(near[..., None], self.data.dtype).where(self.take(apart * near), 0.0)
        return Array(np.moveaxis(y.data, -1, 0), (y, lambda g: np.moveaxis(g, 0, -1)))

    def pick(self, ids):
        """The number ids[…, t] of each row: (…, T, 1)."""
        x, ids = rows(self.data), np.ravel(ids)
        index = np.arange(len(ids)), ids
        y = x[index].reshape(*self.shape[:-1], 1)
        return Array(y, (self, lambda g: scatter(g.ravel(), x, index).reshape(self.shape)))

    def causal(self, window=0):
        """-inf at what lies in the future: of S columns, row t of T keeps the first S - T + t + 1, or of
        these the last `window`."""
        hidden = np.where(causal_mask(*self.shape[-2:], window), 0, -np.inf).astype(self.data.dtype, "F")
        return Array(self.data + hidden, (self, lambda g: g))  # a finite function of -inf has the slope 0

    def sum(self):
        return Array(self.data.sum(-1, keepdims=True), (self, lambda g: g + np.zeros_like(self.data)))

    def total(self):
        return Array(self.data.sum().reshape(1, 1), (self, lambda g: g + np.zeros_like(self.data)))

    def norm(self):
        """The square root of the sum of squares, (1, 1), which no gradient reaches."""
        x = self.data.reshape(1, -1)
        return Array(np.sqrt(np.dot(x, x.T)))

    def max(self):
        return self.pick(self.data.argmax(-1))  # of equal numbers, the gradient flows to the first

    def logsumexp(self):
        x = self.data
        largest = x.max(-1, keepdims=True)  # subtracted first, so that no exponential overflows
        y = largest + np.log(np.exp(x - largest).sum(-1, keepdims=True))
        return Array(y, (self, lambda g: g * np.exp(x - y)))

    def softmax(self):
        exps = np.exp(self.data - self.data.max(-1, keepdims=True))
        y = exps / exps.sum(-1, keepdims=True)
        return Array(y, (self, lambda g: y * (g - (g * y).sum(-1, keepdims=True))))

    def table(self, rows):
        """A table as a matrix of constants."""
        return Array(constants(rows, self.data.dtype))

    def __repr__(self):
        return preview(type(self).__name__, self.data.shape, self.data.flat)


class Condition(Comparison):
    """A comparison, of numbers of this type."""

    __repr__ = Array.__repr__

    def __init__(self, data: np.ndarray, dtype: np.dtype):
        self.data, self.dtype = data, dtype

    def where(self, a, b):
        """`a` where it holds, `b` elsewhere."""
        holds, x, y = self.data, *(np.asarray(raw(n), self.dtype) for n in (a, b))
        to_a, to_b = lambda g: fit(np.where(holds, g, 0), x), lambda g: fit(np.where(holds, 0, g), y)
        return Array(np.where(holds, x, y), (a, to_a), (b, to_b))


def rows(x: np.ndarray) -> np.ndarray:
    """The rows of all documents, (N, C)."""
    return x.reshape(-1, x.shape[-1])


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b, with the numbers of a feature side by side in memory: sums over features (norms, softmax) then
    add long columns, many times as fast as short rows."""
    if b.ndim == 2:  # one product of the rows of all documents
        return np.dot(b.T, rows(a).T).T.reshape(a.shape[:-1] + b.shape[1:])
    y = None
    if a.ndim == 4:
        B, heads, T, _ = a.shape
        y = np.empty((heads, b.shape[-1], B, T), a.dtype).transpose(2, 0, 3, 1)
    return np.matmul(a, b, y)


def fit(g: np.ndarray, x: Any) -> np.ndarray:
    """The gradient of `x` from that of a result to whose shape x was broadcast: summed over the copies."""
    if g.shape == x.shape:
        return g
    lead = g.ndim - len(x.shape)
    axes = tuple(i for i, n in enumerate(g.shape) if i < lead or n > x.shape[i - lead])
    return g.sum(axes).reshape(x.shape)


def scatter(g: np.ndarray, x: np.ndarray, index: Any) -> np.ndarray:
    """The gradient of `x` from that of `x[index]`: 0 elsewhere, the sum where a row occurs several times."""
    grad = np.zeros_like(x)
    if isinstance(index, np.ndarray):
        np.add.at(grad, index, g)
    else:
        grad[index] = g
    return grad


# name: (f(x), its derivative given x and y = f(x))
FUNCTIONS: dict[str, tuple[Callable, Callable]] = {
    "exp": (np.exp, lambda x, y: y),
    "log": (np.log, lambda x, y: 1 / x),
    "sqrt": (np.sqrt, lambda x, y: 0.5 / y),
    "tanh": (np.tanh, lambda x, y: 1 - y * y),
    "erf": (erf, lambda x, y: 2 / math.sqrt(math.pi) * np.exp(-x * x)),
    "sigmoid": (sigmoid, lambda x, y: y * (1 - y)),
    "softplus": (lambda x: np.logaddexp(x, 0), lambda x, y: -np.expm1(-y)),
    "relu": (lambda x: np.maximum(x, 0), lambda x, y: x > 0),
    "abs": (np.abs, lambda x, y: np.sign(x)),
}
