"""What a run computes with: the batches that a backend is given, and what it must answer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from microgpt_lab.core.model import Weights
from microgpt_lab.core.ops import Array
from microgpt_lab.core.reprs import call_repr, line, short


class Dropout(NamedTuple):
    """Which numbers a step drops: for each document `sites` masks of (T, width).

    They are drawn document by document, mask by mask, row by row, from a generator for this key
    alone, so that every backend drops the same.
    """

    key: str
    rate: float
    sites: int
    width: int

    @property
    def scale(self) -> float:
        """What is kept is multiplied by this."""
        return 1 / (1 - self.rate)

    def masks(self, heights: Iterable[int]) -> Iterator[list[list[list[float]]]]:
        """For documents of these lengths, masks of 0 and `scale`."""
        rng, keep = Random(self.key), 1 - self.rate
        for height in heights:
            yield [
                [[(rng.random() < keep) * self.scale for _ in range(self.width)] for _ in range(height)]
                for _ in range(self.sites)
            ]


class Batch:
    """Inputs and targets of pieces of documents, of at most `block_size` + 1 tokens each.

    `loss_weight` multiplies the loss of each token: 1 / `tokens` for the mean over all tokens, 1 for the sum.
    `block_size` and `height` are the largest length and number of documents of all batches of this kind in a
    run (height 0: that of this batch). A backend that pads to them rounds every batch in the same way.
    """

    def __init__(
        self,
        pieces: list[list[int]],
        block_size: int,
        *,
        mean: bool,
        dropout: Dropout | None = None,
        height: int = 0,
    ):
        self.pairs = [(tokens[:-1], tokens[1:]) for tokens in pieces]
        self.tokens = sum(len(targets) for _, targets in self.pairs)
        self.loss_weight = 1 / self.tokens if mean else 1.0
        self.block_size, self.height, self.dropout = block_size, max(height, len(self.pairs)), dropout

    def __repr__(self) -> str:
        return f"Batch(documents={len(self.pairs)}, tokens={self.tokens}, block_size={self.block_size})"


class Block(NamedTuple):
    """A batch, or a part of it, as tensors: ids and targets (…, T), what a token's loss counts
    (a number, or (…, T, 1) with 0 at the padding), and the dropout masks (…, T, C) in order.
    """

    ids: Any
    targets: Any
    loss_weight: Any
    masks: Sequence[Array] = ()

    def __repr__(self) -> str:
        ids, targets, loss_weight = map(short.repr, (self.ids, self.targets, self.loss_weight))
        return line(
            f"Block(ids={ids}, targets={targets}, loss_weight={loss_weight}, {len(self.masks)} masks)"
        )


class Backend:
    """A backend offers `tensor` and `value_and_grad`. To be faster, it overrides the rest.

    `fused` is how many steps it may be handed at once, between two looks at the weights; `largest`
    is how many numbers a model, or a batch of embeddings, may have. `forks` says that jobs of a sweep may
    be forked from a process that has built it: not if it starts threads.
    """

    fused, largest, forks = 1, 500_000_000, True
    __repr__ = call_repr

    def tensor(self, rows: list[list[float]]) -> Array:
        """A matrix."""
        raise NotImplementedError

    def value_and_grad(self, loss: Callable[[Weights], Array], weights: Weights) -> tuple[Array, Weights]:
        """`loss(weights)`, of shape (1, 1), and its gradient by each weight; neither is differentiated on."""
        raise NotImplementedError

    def prepare(self, trainer: Any) -> None:
        """Make ready what other runs of the trainer's setting can use as well, whatever their seed.

        A backend that overrides this promises that the functions which its `scan` has made for one run give
        the same bits in another. It is called once before jobs of the setting are forked, or made one after
        the other in a process. The trainer is not used for anything else.
        """

    def blocks(self, batch: Batch) -> list[Block]:
        """The batch as tensors: here document by document, (T, C), with nothing padded."""
        if batch.dropout is None:
            return [Block(ids, targets, batch.loss_weight) for ids, targets in batch.pairs]
        masks = batch.dropout.masks(len(ids) for ids, _ in batch.pairs)
        return [
            Block(ids, targets, batch.loss_weight, [self.tensor(rows) for rows in matrices])
            for (ids, targets), matrices in zip(batch.pairs, masks, strict=True)
        ]

    def scan(self, f: Callable) -> Callable[[Any, list], tuple[Any, list[list[float]]]]:
        """A function that carries something through `f`, again and again, as jax.lax.scan does.

        `f(carry, blocks, *numbers) -> (carry, results)` is pure; a carry is tensors in dicts and
        tuples, results are tensors of shape (1, 1). The function takes a carry and a list of
        `(batch, *numbers)`, and returns the last carry and each call's results as floats. A
        backend may compile `f`, which then sees numbers as tensors of shape (1, 1).
        """

        def run(carry: Any, inputs: list) -> tuple[Any, list[list[float]]]:
            results = []
            for batch, *numbers in inputs:
                carry, values = f(carry, self.blocks(batch), *numbers)
                results.append([value.item() for value in values])
            return carry, results

        return run
