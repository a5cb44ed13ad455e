"""A function carried over many batches: recorded once for each shape, then played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from statistics import median
from typing import Any

import numpy as np

from microgpt_lab import UserError
from microgpt_lab.core.backend import Block
from microgpt_lab.tensors.padding import longest, mask_scales, padded

from .array import Array
from .calls import copy, empty
from .lanes import Lanes, varying
from .tape import Tape, call, into

WORTH = 12_000  # numbers (documents, T, C) that a call makes: from about here on two threads are faster


class Recorded:
    """`f(carry, blocks, *numbers)` on the buffers of a carry, for batches of one shape.

    `whole` has the ids, targets, weights and masks of a batch, documents first.
    """

    def __init__(self, f: Callable, carry: Any, whole: list[np.ndarray], numbers: list[float]):
        tape, trial = Tape(), Tape()
        self.numbers = [np.full((1, 1), number, whole[2].dtype) for number in numbers]
        with trial:
            f(carry, blocks([whole]), *map(Array, self.numbers))
        sizes = [call.args[-1].size for call in trial.calls if call.args[-1].ndim > 2]
        self.lanes = min(2 if sizes and median(sizes) >= WORTH else 1, len(whole[0]))
        self.parts = [[laid_out(values) for values in part] for part in self.split(whole)]
        with tape:
            new, results = f(carry, blocks(self.parts), *map(Array, self.numbers))
            pairs = [(buffer.data, leaf.data) for buffer, leaf in matched(carry, new)]
            buffers = [buffer for buffer, _ in pairs]
            for i, (buffer, data) in enumerate(pairs):
                if any(np.may_share_memory(data, other) for other in buffers):  # an old weight as state, say
                    pairs[i] = buffer, call(copy, data)
            for buffer, data in pairs:
                into(buffer, copy, data)
        self.results = [result.data for result in results]
        kept = [*buffers, *chain(*self.parts), *self.numbers, *self.results]
        self.calls = Lanes(varying(tape.calls, kept), self.parts, kept)

    def split(self, whole: list[np.ndarray]) -> list[list[np.ndarray]]:
        """The documents of each lane."""
        if self.lanes == 1:
            return [whole]
        return [list(part) for part in zip(*(np.array_split(values, self.lanes) for values in whole))]

    def __call__(self, whole: list[np.ndarray], numbers: list[float], threads: ThreadPoolExecutor) -> None:
        for part, given in zip(self.parts, self.split(whole)):
            for buffer, values in zip(part, given):
                np.copyto(buffer, values)
        for buffer, number in zip(self.numbers, numbers):
            buffer.fill(number)
        self.calls.play(threads)


def blocks(parts: list[list[np.ndarray]]) -> list[Block]:
    return [
        Block(ids, targets, Array(loss_weight), list(map(Array, masks)))
        for ids, targets, loss_weight, *masks in parts
    ]


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
        self.threads = ThreadPoolExecutor(1)  # it starts none before it is needed

    def __call__(self, carry: Any, inputs: list) -> tuple[Any, list[list[float]]]:
        results = []
        with np.errstate(all="ignore"):
            self.load(carry)
            for batch, *numbers in inputs:
                results.append(self.once(batch, numbers))
        return rebuilt(self.carry), results

    def rest(self) -> None:
        """End the thread, if there is one: a fork of this process would wait for it in vain."""
        self.threads.shutdown()
        self.threads = ThreadPoolExecutor(1)

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
        batches = padded([batch], self.dtype, length=length)
        scaled = zip(batches.masks, mask_scales(batch), strict=True)
        masks = [np.multiply(mask[0], scale, dtype=self.dtype) for mask, scale in scaled]
        whole = [batches.ids[0], batches.targets[0], batches.loss_weight[0], *masks]
        recorded = self.recorded.get(whole[0].shape)
        if recorded is None:
            recorded = self.recorded[whole[0].shape] = Recorded(self.f, self.carry, whole, numbers)
        else:
            recorded(whole, numbers, self.threads)
        return [result.item() for result in recorded.results]


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
