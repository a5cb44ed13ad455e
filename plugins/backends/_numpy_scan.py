"""A function carried over many batches: recorded once for each shape, then played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from microgpt_lab import UserError
from microgpt_lab.backend import Block
from microgpt_lab.padding import longest, padded

from ._numpy_array import Array
from ._numpy_buffers import shared
from ._numpy_calls import copy, empty
from ._numpy_tape import Tape, call, into


class Recorded:
    """`f(carry, blocks, *numbers)` on the buffers of a carry, for batches of one shape."""

    def __init__(self, f: Callable, carry: Any, inputs: list[np.ndarray], masks: int, numbers: int):
        tape, self.inputs = Tape(), [laid_out(values) for values in inputs]
        ids, targets, share, *rest = self.inputs
        block = Block(ids, targets, Array(share), [Array(mask) for mask in rest[:masks]])
        with tape:
            new, results = f(carry, [block], *map(Array, rest[masks:]))
            pairs = [(buffer.data, leaf.data) for buffer, leaf in matched(carry, new)]
            buffers = [buffer for buffer, _ in pairs]
            for i, (buffer, data) in enumerate(pairs):
                if any(np.may_share_memory(data, other) for other in buffers):  # an old weight as state, say
                    pairs[i] = buffer, call(copy, data)
            for buffer, data in pairs:
                into(buffer, copy, data)
        self.results = [result.data for result in results]
        tape.calls = shared(tape.calls, [*buffers, *self.inputs, *self.results])
        self.play = tape.play

    def __call__(self, inputs: list[np.ndarray]) -> None:
        for buffer, values in zip(self.inputs, inputs, strict=True):
            np.copyto(buffer, values)
        self.play()


def laid_out(values: np.ndarray) -> np.ndarray:
    """A copy that lies in memory as the results of calls do."""
    if values.ndim < 3:
        return values.copy()
    buffer = empty(values.shape, values.dtype)
    np.copyto(buffer, values)
    return buffer


class Scan:
    """`Backend.scan` by tapes: one for each length of the batches, rounded up where they are long."""

    def __init__(self, f: Callable, dtype: str):
        self.f, self.dtype = f, dtype
        self.carry: Any = None
        self.recorded: dict[Any, Recorded] = {}

    def __call__(self, carry: Any, inputs: list) -> tuple[Any, list[list[float]]]:
        results = []
        with np.errstate(all="ignore"):
            self.load(carry)
            for batch, *numbers in inputs:
                results.append(self.once(batch, numbers))
        return rebuilt(self.carry), results

    def load(self, carry: Any) -> None:
        """Copy into the buffers that the tapes know."""
        if self.carry is None or any(x.shape != y.shape for x, y in matched(self.carry, carry)):
            self.carry, self.recorded = rebuilt(carry), {}
            return
        for buffer, leaf in matched(self.carry, carry):
            np.copyto(buffer.data, leaf.data)

    def once(self, batch: Any, numbers: list[float]) -> list[float]:
        length = longest(batch)
        unit = max(1, 2 ** (length.bit_length() - 4))  # 8 to 16 lengths an octave
        length = min(-(-length // unit) * unit, batch.block_size)
        ids, targets, share, masks = padded([batch], self.dtype, length=length)
        scale = batch.dropout.scale if batch.dropout else 1.0
        given = [ids[0], targets[0], share[0]]
        given += [np.multiply(mask[0], scale, dtype=self.dtype) for mask in masks]
        given += [np.array([[number]], self.dtype) for number in numbers]
        recorded = self.recorded.get(ids.shape)
        if recorded is None:
            recorded = Recorded(self.f, self.carry, given, len(masks), len(numbers))
            self.recorded[ids.shape] = recorded
        else:
            recorded(given)
        return [float(result[0, 0]) for result in recorded.results]


def matched(known: Any, tree: Any) -> Iterator[tuple[Array, Array]]:
    """The arrays at the same places of two trees of dicts and tuples."""
    if isinstance(known, Array) and isinstance(tree, Array):
        yield known, tree
    elif isinstance(known, dict) and isinstance(tree, dict) and known.keys() == tree.keys():
        for key in known:
            yield from matched(known[key], tree[key])
    elif isinstance(known, tuple) and isinstance(tree, tuple) and len(known) == len(tree):
        for pair in zip(known, tree):
            yield from matched(*pair)
    elif not (known is None and tree is None):
        raise UserError("an optimizer's state must be tensors, in tuples and dicts that keep their form")


def rebuilt(tree: Any) -> Any:
    """The same with copies of the arrays."""
    if isinstance(tree, dict):
        return {key: rebuilt(branch) for key, branch in tree.items()}
    if isinstance(tree, tuple):
        branches = map(rebuilt, tree)
        return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)
    return Array(tree.data.copy()) if isinstance(tree, Array) else tree
