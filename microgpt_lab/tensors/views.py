"""Rearrange the numbers of a Tensor: rows, heads, transposes, masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Self

from microgpt_lab.core.places import Places, indices


class Views:
    """The methods of a Tensor that rearrange or mask its numbers. Only `total` computes new ones."""

    __slots__ = ()
    # Defined in Tensor.
    data: list[Any]
    shape: tuple[int, ...]
    is_tracked: bool
    constant: Callable[[float], Any]
    tracked: Callable[[], Any]
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
        """Repeat the numbers along each axis of length 1, and along missing leading axes, to this shape."""
        if self.shape == shape:
            return self
        data, size = self.data, 1  # numbers of one index of the axis, and of those behind it
        old = (1,) * (len(shape) - len(self.shape)) + self.shape
        for have, want in zip(reversed(old), reversed(shape), strict=True):
            if have != want:
                if have != 1:
                    raise ValueError(f"shapes {self.shape} and {shape} cannot be broadcast together")
                parts = (data[i : i + size] * want for i in range(0, len(data), size))
                data = list(chain.from_iterable(parts))
            size *= want
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
        tensors = [self, *others]
        if any(each.is_tracked for each in tensors):
            tensors = [each.tracked() for each in tensors]
        first, *others = tensors
        parts = zip(*(each.rows for each in tensors), strict=True)
        width = sum(each.shape[-1] for each in tensors)
        return first._view(
            [x for rows in parts for row in rows for x in row], (*first.shape[:-1], width), *others
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

    def causal(self, window: int = 0) -> Self:
        """Mask the future with -inf: of S columns, row t of T keeps the first S - T + t + 1.

        With a `window`, it keeps only the last `window` of these.
        """
        *_, height, width = self.shape
        hidden = [self.constant(-math.inf)]
        data = []
        for i, row in enumerate(self.rows):
            stop = width - height + i % height + 1
            start = max(0, stop - window) if window else 0
            data += hidden * start + row[start:stop] + hidden * (width - stop)
        return self._view(data, self.shape)

    def take(self, ids: Sequence[int] | Places) -> Self:
        """Select rows by index, or at places: (len(ids), C)."""
        rows, ids = self.rows, indices(ids)
        return self._view([x for i in ids for x in rows[i]], (len(ids), self.shape[-1]))

    def by_distance(self, places: Places) -> Self:
        """Select row t - s for a token at t that looks back at one at s: (N, heads) to (heads, T, S).

        It is 0 where s lies ahead, or N or more behind.
        """
        columns, zero = list(zip(*self.rows)), self.constant(0.0)
        data = [
            column[t - s] if 0 <= t - s < len(column) else zero
            for column in columns
            for t in indices(places)
            for s in range(places.stop)
        ]
        return self._view(data, (len(columns), places.stop - places.start, places.stop))

    def pick(self, ids: Sequence[int]) -> Self:
        """Select the number ids[t] of each row t: (T, 1)."""
        return self._view([row[i] for row, i in zip(self.rows, ids, strict=True)], (*self.shape[:-1], 1))


def common_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that all are broadcast to."""
    longest = max(map(len, shapes))
    axes = list(zip(*((1,) * (longest - len(shape)) + shape for shape in shapes)))
    sizes = tuple(map(max, axes))
    if any(n not in (1, size) for axis, size in zip(axes, sizes) for n in axis):
        raise ValueError(f"shapes {' and '.join(map(str, shapes))} cannot be broadcast together")
    return sizes
