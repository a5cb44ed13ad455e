"""A tape of NumPy calls: what is computed once can be computed again without asking what to do.

A training step makes a few hundred small NumPy calls. Around each, Python spends more time on
deciding what to call than the call takes. So the step is run once with a tape that writes down
every call with its operands and the buffer of its result; after that, other numbers are put into
the input buffers and the tape is played. Transposes, slices and heads are views of the buffers,
and cost nothing then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np


class Tape:
    """Calls in order. While it is entered, `call` and `into` write on it."""

    recording: Tape | None = None

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def __enter__(self) -> Tape:
        Tape.recording = self
        return self

    def __exit__(self, *error: object) -> None:
        Tape.recording = None

    def play(self) -> None:
        for play in self.calls:
            play()


def call(f: Callable, *operands: object) -> np.ndarray:
    """f(*operands). `f` also takes a buffer for its result, as a last argument."""
    result = f(*operands)
    if Tape.recording is not None:
        Tape.recording.calls.append(partial(f, *operands, result))
    return result


def into(result: np.ndarray, f: Callable, *operands: object) -> np.ndarray:
    """f(*operands), into a buffer whose numbers are of no more use."""
    f(*operands, result)
    if Tape.recording is not None:
        Tape.recording.calls.append(partial(f, *operands, result))
    return result


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A buffer for (…, T, C) or (B, heads, T, C) in which the numbers of a feature lie side by side.

    Sums over features then add long columns, which NumPy does several times as fast as summing
    many short rows, and heads can be split and merged without moving anything.
    """
    if len(shape) == 4:
        B, H, T, C = shape
        return np.empty((H, C, B, T), dtype).transpose(2, 0, 3, 1)
    *lead, C = shape
    return np.moveaxis(np.empty((C, *lead), dtype), 0, -1)


# NumPy functions that take a buffer for the result last. Reductions keep the last axis, with length 1.


def row_sum(x, out=None):
    return np.add.reduce(x, axis=-1, out=out, keepdims=True)


def row_max(x, out=None):
    return np.maximum.reduce(x, axis=-1, out=out, keepdims=True)


def axes_sum(x, axes, out=None):
    return np.add.reduce(x, axis=axes, out=out, keepdims=True)


def relu(x, out=None):
    return np.maximum(x, 0.0, out=out)


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
    """Along the last axis."""
    return np.concatenate(arrays, -1, out)


def copy(x, out=None):
    if out is None:
        return np.array(x)
    np.copyto(out, x)
    return out
