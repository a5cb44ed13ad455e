"""What the NumPy backend calls: functions that take a buffer for their result, and sequences of calls."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .tape import call, into


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A buffer for (…, T, C) or (B, heads, T, C) in which the numbers of a feature lie side by side.

    Sums over features then add long columns, which NumPy does several times as fast as summing
    many short rows, and heads can be split and merged without moving anything.
    """
    if len(shape) == 4:
        B, H, T, C = shape
        return np.empty((H, C, B, T), dtype).transpose(2, 0, 3, 1)
    *lead, C = shape
    return np.empty((C, *lead), dtype).transpose(*range(1, len(shape)), 0)


# NumPy functions that take a buffer for the result last. Reductions keep the last axis, with length 1.


def row_sum(x, out=None):
    return np.add.reduce(x, axis=-1, out=out, keepdims=True)


def row_max(x, out=None):
    return np.maximum.reduce(x, axis=-1, out=out, keepdims=True)


def axes_sum(x, axes, out=None):
    return np.add.reduce(x, axis=axes, out=out, keepdims=True)


def relu(x, out=None):
    return np.maximum(x, 0.0, out=out)


def zeros(x, out=None):
    out = np.empty_like(x) if out is None else out
    out.fill(0)
    return out


def select(condition, a, b, out=None):
    if out is None:
        return np.where(condition, a, b)
    np.copyto(out, b)
    np.copyto(out, a, where=condition)
    return out


def take(x, places, axis, out=None):
    return x.take(places, axis, out, "clip")


def add_at(g, ids, size, out=None):
    if out is None:
        out = np.empty((size, g.shape[1]), g.dtype)
    out.fill(0)
    np.add.at(out, ids, g)
    return out


def scatter(values, places, size, out=None):
    """As many zeros, but for values at these places."""
    if out is None:
        out = np.empty(size, values.dtype)
    out.fill(0)
    out.put(places, values)
    return out


def joined(arrays, out=None):
    """Along the last axis. Matrices lie row by row, so that a row of all weights can be cut into them."""
    *lead, _ = arrays[0].shape
    if out is None and len(lead) > 1:
        out = empty((*lead, sum(array.shape[-1] for array in arrays)), arrays[0].dtype)
    return np.concatenate(arrays, -1, out)


def copy(x, out=None):
    if out is None:
        return np.array(x)
    np.copyto(out, x)
    return out


# Sequences of calls, and views.


def swap(x: np.ndarray) -> np.ndarray:
    return x.swapaxes(-1, -2)


def reshape(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A view, or else a copy that a tape makes again."""
    y = x.reshape(shape)
    if not np.may_share_memory(x, y):
        into(y.reshape(x.shape), copy, x)
    return y


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # OpenBLAS raises it now and then where every number is finite
        return into(empty((*a.shape[:-1], b.shape[-1]), b.dtype), np.matmul, a, b)


def row_dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The sum of x * y over the last axis."""
    return call(row_sum, call(np.multiply, x, y))


@lru_cache(64)
def constants(rows: Any, dtype: Any) -> np.ndarray:
    """A table as an array, laid out as `empty` would."""
    return np.array(rows, dtype, order="F")


def causal_masks(height: int, width: int, window: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """1 and 0 where a row sees a column, else 0 and -inf; laid out as `empty` would."""
    seen = np.asfortranarray(np.tri(height, width, width - height, dtype))
    if window:
        seen -= np.tri(height, width, width - height - window, dtype)
    return seen, np.where(seen, 0.0, -np.inf).astype(dtype)


def spread(g: np.ndarray, x: np.ndarray, index: Any) -> np.ndarray:
    """The gradient of `x` from that of `x[index]`: zeros elsewhere."""
    whole = np.zeros_like(x)
    into(whole[index], copy, g)
    return whole


def sum_rows(g: np.ndarray, ids: np.ndarray, size: int) -> np.ndarray:
    """(N, C) to (size, C): the sum of those rows that have the same id."""
    if size > 256:
        return call(add_at, g, ids, size)
    hot = call(take, np.eye(size, dtype=g.dtype), ids, 0)  # a product is faster, while it is small
    return call(np.matmul, hot.T, g)


def fit(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The gradient of `x` from that of a result to whose shape x was stretched: summed over the copies."""
    if g.shape == x.shape:
        return g
    lead = g.ndim - x.ndim
    axes = tuple(i for i, n in enumerate(g.shape) if n > 1 and (i < lead or x.shape[i - lead] == 1))
    return reshape(call(axes_sum, g, axes) if axes else g, x.shape)


def product_fit(g: np.ndarray, other: Any, x: np.ndarray) -> np.ndarray:
    """`fit` of g * other."""
    if x.shape == (*g.shape[:-1], 1) != g.shape == np.shape(other):
        return row_dot(g, other)
    return fit(call(np.multiply, g, other), x)


def one_hot_rows(x, top, out=None):
    """1 at the first number of each row that is its largest."""
    if out is None:
        out = np.empty_like(x)
    found = x == top
    np.copyto(out, found & (found.cumsum(-1) == 1))
    return out
