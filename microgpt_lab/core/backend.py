"""The interface of a backend, and the batches that it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from microgpt_lab.core.model import GPT, Weights
from microgpt_lab.core.ops import Array
from microgpt_lab.core.reprs import call_repr, line, short


class Dropout(NamedTuple):
    """Dropout masks of a step: `sites` masks for each document, of shape (T, width), or (heads, T, T).

    A separate generator, seeded with `key`, draws them document by document, mask by mask, token by token,
    head by head, so that every backend drops the same numbers.
    """

    key: str
    rate: float
    sites: int
    width: int = 0
    heads: int = 0

    @property
    def scale(self) -> float:
        """The factor of the numbers that are kept."""
        return 1 / (1 - self.rate)

    def masks(self, lengths: Iterable[int]) -> Iterator[list[list[list[float]]]]:
        """Yield the masks for documents of these lengths, with values 0 and `scale`.

        A mask is T rows of numbers, of which one of attention weights has heads · T.
        """
        rng, keep = Random(self.key), 1 - self.rate
        for length in lengths:
            width = self.width or self.heads * length
            yield [
                [[(rng.random() < keep) * self.scale for _ in range(width)] for _ in range(length)]
                for _ in range(self.sites)
            ]

    @classmethod
    def of_step(cls, model: GPT, rate: float, seed: int, step: int) -> list[Dropout]:
        """Return those of a step: of embeddings and sublayers at this rate, and of attention weights."""
        found: list[Dropout] = []
        if rate:
            found.append(cls(f"dropout {seed} {step}", rate, model.dropout_sites, width=model.embed))
        if of_weights := model.attention_dropout:
            key = f"attention dropout {seed} {step}"
            found.append(cls(key, of_weights, model.layers, heads=model.heads))
        return found


class Batch:
    """Inputs and targets of pieces of documents. A piece has at most `block_size` + 1 tokens.

    `pairs` are the inputs and the targets of each piece, as lists of whole numbers. `tokens` is how many
    targets count. `loss_weight` multiplies the loss of each token: 1 / `tokens` for the mean over all tokens,
    1 for the sum. In each piece, the first predictions do not count, as many as `context` says. `block_size`
    and `height` are the maximum length and number of documents of all such batches in a run (height 0: the
    number in this batch). A backend that pads to them rounds all batches in the same way. A backend may
    compute `parts` equal parts of the documents one after the other: see `Backend.accumulate`.
    """

    def __init__(
        self,
        pieces: Sequence[list[int]],
        block_size: int,
        *,
        mean: bool,
        dropouts: Sequence[Dropout] = (),
        height: int = 0,
        parts: int = 1,
        context: Sequence[int] = (),
    ):
        self.pairs = [(tokens[:-1], tokens[1:]) for tokens in pieces]
        self.context = context or [0] * len(pieces)
        self.tokens = sum(map(len, pieces)) - len(pieces) - sum(self.context)
        self.loss_weight = 1 / self.tokens if mean else 1.0
        self.block_size, self.height, self.dropouts = block_size, max(height, len(self.pairs)), dropouts
        self.parts = parts

    def __repr__(self) -> str:
        return f"Batch(documents={len(self.pairs)}, tokens={self.tokens}, block_size={self.block_size})"


class Block(NamedTuple):
    """A batch, or a part of it, as tensors.

    `ids` and `targets` are (…, T). `loss_weight` is the weight of each token's loss: a number, or (…, T, 1)
    with 0 at the padding. `masks` are the dropout masks in order: (…, T, C) of embeddings and sublayers, then
    (…, heads, T, T) of attention weights.
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


class Memory(NamedTuple):
    """What a backend needs in memory, in bytes, for the estimate of a run (microgpt_lab/run/memory.py).

    number: each number of the tensors that a step makes; half of it with `precision=float32`.
    weight: each number of the weights, with gradient, optimizer state and checkpoint.
    fixed: what else, such as a compiler.
    batched: whether a part of a batch is in memory at once, rather than one document.
    """

    number: float = 8
    weight: float = 100
    fixed: float = 0
    batched: bool = True


class Backend:
    """Base class of backends. Implement `tensor` and `value_and_grad`; override `scan` to be faster.

    `fused` is the maximum number of steps in one call of a `scan`. `largest` is the maximum number of
    numbers in a model, and of tokens in a step. `memory` says what numbers need. `forks` says whether jobs
    of a sweep may be forked from a process that has built this backend: set it to False if the backend starts
    threads.
    """

    fused, largest, forks = 1, 500_000_000, True
    memory = Memory()
    __repr__ = call_repr

    def tensor(self, rows: list[list[float]]) -> Array:
        """Make a matrix of these rows."""
        raise NotImplementedError

    def value_and_grad(self, loss: Callable[[Weights], Array], weights: Weights) -> tuple[Array, Weights]:
        """Return `loss(weights)`, a row (1, K), and the gradient of its first number, both detached."""
        raise NotImplementedError

    def accumulate(
        self, loss: Callable[[Weights, Block], Array], weights: Weights, blocks: list[Block]
    ) -> tuple[Array, Weights]:
        """Return the sums of `loss(weights, block)` and of its gradient over the blocks of a batch.

        The default computes one block after the other, so that only one is in memory (gradient accumulation).
        """
        first, *others = blocks
        row, grads = self.value_and_grad(lambda w: loss(w, first), weights)
        for block in others:
            more, grads_of_block = self.value_and_grad(lambda w, block=block: loss(w, block), weights)
            row, grads = row + more, {name: g + grads_of_block[name] for name, g in grads.items()}
        return row, grads

    def device_memory(self) -> int:
        """Return the bytes of memory of an accelerator that computes. 0: it is this machine's that counts."""
        return 0

    def prepare(self, trainer: Any) -> None:
        """Prepare what other runs of this trainer's setting can reuse, whatever their seed.

        A backend that overrides this promises that the functions that `scan` returned for one run give the
        same bits in another. It is called once, before jobs of the setting are forked, or run one after
        the other in a process. The trainer is used for nothing else.
        """

    def blocks(self, batch: Batch) -> list[Block]:
        """Convert a batch to tensors. The default is one block per document, (T, C), without padding."""
        lengths = [len(ids) for ids, _ in batch.pairs]
        masks: list[list[Array]] = [[] for _ in lengths]
        for dropout in batch.dropouts:
            for document, matrices in zip(masks, dropout.masks(lengths), strict=True):
                tensors = [self.tensor(rows) for rows in matrices]
                document += [x.split_heads(dropout.heads) for x in tensors] if dropout.heads else tensors
        blocks = []
        for (ids, targets), context, document in zip(batch.pairs, batch.context, masks, strict=True):
            loss_weight: Any = batch.loss_weight
            if context:
                loss_weight = self.tensor([[loss_weight * (i >= context)] for i in range(len(ids))])
            blocks.append(Block(ids, targets, loss_weight, document))
        return blocks

    def scan(self, f: Callable) -> Callable[[Any, list], tuple[Any, list[list[float]]]]:
        """Return a function that applies `f` to batch after batch and passes a carry on, like jax.lax.scan.

        `f(carry, blocks, *numbers) -> (carry, results)` is a pure function. A carry is tensors in dicts
        and tuples; results are tensors of shape (1, 1). The returned function takes a carry and a list
        of `(batch, *numbers)`. It returns the last carry, and the results of each call as floats. A
        backend may compile `f`, which then gets the numbers as tensors of shape (1, 1).
        """

        def run(carry: Any, inputs: list) -> tuple[Any, list[list[float]]]:
            results = []
            for batch, *numbers in inputs:
                carry, values = f(carry, self.blocks(batch), *numbers)
                results.append([value.item() for value in values])
            return carry, results

        return run
