"""What backends of whole arrays share: errors for wrong use, causal masks, tables of constants."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from microgpt_lab.core.places import Table


class WholeArray:
    """Base class of tensors whose numbers (…, T, C) are an array, `data`, of NumPy or alike."""

    __slots__ = ()
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

    def __eq__(self, other: object) -> bool:
        raise TypeError("arrays have no ==: use where(condition, a, b) with < or >")

    __hash__ = object.__hash__


class Comparison:
    """Base class of what `>` and `<` return. It can only be used in `where`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        raise TypeError("a comparison of arrays is neither true nor false: use where(condition, a, b)")


def raw(x: Any) -> Any:
    """Return the array of a tensor, and a number unchanged. TypeError for a comparison."""
    if isinstance(x, Comparison):
        raise TypeError("a comparison is not a number: use where(condition, a, b)")
    return x.data if isinstance(x, WholeArray) else x


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
