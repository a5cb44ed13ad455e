"""Rearrange the numbers of a Tensor: rows, heads, transposes, masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Self


class Views:
    """The methods of a Tensor that rearrange or mask its numbers. Only `total` computes new ones."""

    __slots__ = ()
    # Defined in Tensor.
    data: list[Any]
    shape: tuple[int, ...]
    constant: Callable[[float], Any]
    sum: Callable[[], Any]
    _view: Callable[..., Any]

    @property
    def rows(self) -> list[list[Any]]:
        """The rows, which are lists of numbers along the last axis."""
        width = self.shape[-1]
        return [self.data[i : i + width] for i in range(0, len(self.data), width)]

    def matrices(self) -> list[list[list[Any]]]:
        """Return the matrices of the last two axes, each as a list of rows."""
        rows, height = self.rows, self.shape[-2]
        return [rows[i : i + height] for i in range(0, len(rows), height)]

    def broadcast_to(self, shape: tuple[int, ...]) -> Self:
        """Broadcast a single row or column, or both, to this shape."""
        if self.shape == shape:
            return self
        rows, width = self.rows, shape[-1]
        if self.shape[-1] == 1:
            rows = [row * width for row in rows]
        if len(rows) == 1:
            rows = rows * (math.prod(shape) // width)
        data = list(chain.from_iterable(rows))
        if len(data) != math.prod(shape):
            raise ValueError(f"shapes {self.shape} and {shape} cannot be broadcast together")
        return self._view(data, shape)

    @property
    def T(self) -> Self:
        """The transpose: the last two axes swapped."""
        *lead, height, width = self.shape
        size = height * width
        starts = range(0, len(self.data), size)
        columns = (self.data[s + c : s + size : width] for s in starts for c in range(width))
        return self._view(list(chain.from_iterable(columns)), (*lead, width, height))

    def __getitem__(self, columns: slice) -> Self:
        """Slice the last axis."""
        rows = [row[columns] for row in self.rows]
        return self._view(list(chain.from_iterable(rows)), (*self.shape[:-1], len(rows[0])))

    def concat(self, *others: Self) -> Self:
        """Concatenate along the last axis."""
        parts = zip(self.rows, *(other.rows for other in others), strict=True)
        width = self.shape[-1] + sum(other.shape[-1] for other in others)
        return self._view(
            [x for rows in parts for row in rows for x in row], (*self.shape[:-1], width), *others
        )

    def reshape(self, height: int, width: int) -> Self:
        """Return the same numbers in the same order, (height, width)."""
        return self._view(self.data, (height, width))

    def total(self) -> Self:
        """The sum of all numbers, (1, 1)."""
        return self.reshape(1, len(self.data)).sum()

    def split_heads(self, heads: int) -> Self:
        """Split the last axis into heads: (…, T, C) to (…, heads, T, C / heads)."""
        *lead, height, width = self.shape
        size = width // heads
        rows = [row[h * size : (h + 1) * size] for m in self.matrices() for h in range(heads) for row in m]
        return self._view(list(chain.from_iterable(rows)), (*lead, heads, height, size))

    def merge_heads(self) -> Self:
        """Undo `split_heads`: (…, heads, T, D) to (…, T, heads * D)."""
        *lead, heads, height, size = self.shape
        matrices = self.matrices()
        groups = [matrices[i : i + heads] for i in range(0, len(matrices), heads)]
        data = [x for group in groups for rows in zip(*group, strict=True) for row in rows for x in row]
        return self._view(data, (*lead, height, heads * size))

    def causal(self) -> Self:
        """Mask the future with -inf: of S columns, row t of T keeps the first S - T + t + 1."""
        *_, height, width = self.shape
        hidden = [self.constant(-math.inf)]
        data = []
        for i, row in enumerate(self.rows):
            seen = width - height + i % height + 1
            data += row[:seen] + hidden * (width - seen)
        return self._view(data, self.shape)

    def take(self, ids: Sequence[int]) -> Self:
        """Select rows by index: (len(ids), C)."""
        rows = self.rows
        return self._view([x for i in ids for x in rows[i]], (len(ids), self.shape[-1]))

    def pick(self, ids: Sequence[int]) -> Self:
        """Select the number ids[t] of each row t: (T, 1)."""
        return self._view([row[i] for row, i in zip(self.rows, ids, strict=True)], (*self.shape[:-1], 1))


def common_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that both are broadcast to."""
    longest = max(len(a), len(b))
    pairs = list(zip((1,) * (longest - len(a)) + a, (1,) * (longest - len(b)) + b, strict=True))
    if any(x != y and 1 not in (x, y) for x, y in pairs):
        raise ValueError(f"shapes {a} and {b} cannot be broadcast together")
    return tuple(max(pair) for pair in pairs)
