"""Shared by the tensors of NumPy, JAX and the tracer: errors for wrong use, tables, masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np

from microgpt_lab.core.places import Table

# What NumPy calls in `a + x` and the like, if `a` is a number of its own.
OPERATORS = {
    "add": "__radd__",
    "subtract": "__rsub__",
    "multiply": "__rmul__",
    "divide": "__rtruediv__",
    "power": "__rpow__",
    "less": "__gt__",
    "greater": "__lt__",
}


class WholeArray:
    """Base class of tensors whose numbers (…, T, C) are an array of NumPy or JAX, `data`."""

    __slots__ = ("data",)
    data: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    def tolist(self) -> list[list[float]]:
        """Return the rows as lists of floats."""
        return np.asarray(self.data).reshape(-1, self.shape[-1]).tolist()

    def item(self) -> float:
        """Return the number of an array of shape (1, 1)."""
        return float(self.data[0, 0])

    def __neg__(self: Any) -> Any:
        return self * -1.0

    def __rsub__(self, other: float) -> Any:
        return -self + other

    def __rtruediv__(self: Any, other: float) -> Any:
        return self**-1.0 * other

    def __eq__(self, other: object) -> bool:
        raise TypeError("arrays have no ==: use where(condition, a, b) with < or >")

    __hash__ = object.__hash__

    def __array_ufunc__(self, function: Any, _: str, *inputs: Any, **options: Any) -> Any:
        """Compute `a + x` and the like for a number `a` of NumPy's. TypeError for its functions."""
        operator = getattr(self, OPERATORS.get(function.__name__, ""), None)
        if operator and inputs[-1] is self and not options:
            return operator(inputs[0])
        return self.__array_function__(function)

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(
            f"NumPy's {function.__name__} does not take tensors: use the functions of microgpt_lab.ops"
        )


class Comparison:
    """Base class of what `a > b` returns, of which `where` is the only use."""

    __slots__ = ()

    def __bool__(self) -> bool:
        raise TypeError("a comparison of arrays is neither true nor false: use where(condition, a, b)")


def raw(x: Any) -> Any:
    """Return the array of a tensor, or a number unchanged. TypeError for a comparison."""
    if isinstance(x, WholeArray):
        return x.data
    if isinstance(x, Comparison):
        raise TypeError("a comparison is not a number: use where(condition, a, b)")
    return x


@lru_cache(64)
def constants(rows: Table, dtype: Any) -> np.ndarray:
    """Return a table as an array, column by column in memory."""
    return np.array(rows, dtype, order="F")


@lru_cache(64)
def causal_mask(height: int, width: int, window: int) -> np.ndarray:
    """Return what each row may see, (T, S): of S columns, row t of T the first S - T + t + 1.

    With a `window`, only the last `window` of these.
    """
    ahead = np.arange(width) - np.arange(width - height, width)[:, None]
    return (ahead <= 0) & (ahead > -(window or width))


@np.errstate(over="ignore")
def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) of each number. Where exp(-x) overflows, 1 / inf is the right 0."""
    return 1 / (1 + np.exp(-x))


def erf(x: np.ndarray) -> np.ndarray:
    """The error function of each number."""
    return load_erf()(x)


@cache
def load_erf() -> Callable[[np.ndarray], np.ndarray]:
    """Load SciPy's, which takes a tenth of the time, where it is installed. Its import takes 0.3 s."""
    try:
        from scipy.special import erf
    except ModuleNotFoundError:
        each = np.frompyfunc(math.erf, 1, 1)
        return lambda x: np.asarray(each(x), x.dtype)
    return erf
