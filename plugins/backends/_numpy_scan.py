"""A function carried over many batches: recorded once for each shape, then played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from microgpt_lab.backend import Block
from microgpt_lab.padding import longest, padded

from ._numpy_array import Array
from ._numpy_calls import copy, empty
from ._numpy_tape import Tape, into


class Recorded:
    """`f(carry, blocks, *numbers)` on the buffers of a carry, for batches of one shape."""

    def __init__(self, f: Callable, carry: Any, inputs: list[np.ndarray], masks: int, numbers: int):
        self.tape, self.inputs = Tape(), [laid_out(values) for values in inputs]
        ids, targets, share, *rest = self.inputs
        block = Block(ids, targets, Array(share), [Array(mask) for mask in rest[:masks]])
        with self.tape:
            new, results = f(carry, [block], *map(Array, rest[masks:]))
            for buffer, leaf in zip(leaves(carry), leaves(new), strict=True):
                into(buffer.data, copy, leaf.data)
        self.results = [result.data for result in results]

    def __call__(self, inputs: list[np.ndarray]) -> None:
        for buffer, values in zip(self.inputs, inputs, strict=True):
            np.copyto(buffer, values)
        self.tape.play()


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
        shapes = [leaf.shape for leaf in leaves(carry)]
        if self.carry is None or shapes != [leaf.shape for leaf in leaves(self.carry)]:
            self.carry, self.recorded = rebuilt(carry), {}
            return
        for buffer, leaf in zip(leaves(self.carry), leaves(carry), strict=True):
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


def leaves(tree: Any) -> Iterator[Array]:
    """The arrays in dicts and tuples."""
    if isinstance(tree, Array):
        yield tree
    else:
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(branch)


def rebuilt(tree: Any) -> Any:
    """The same with copies of the arrays."""
    if isinstance(tree, Array):
        return Array(tree.data.copy())
    if isinstance(tree, dict):
        return {key: rebuilt(branch) for key, branch in tree.items()}
    return tuple(rebuilt(branch) for branch in tree)
