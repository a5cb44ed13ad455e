"""Evaluation of a model, during and after training: its loss on documents, and samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from random import Random

from microgpt_lab.core.backend import Backend, Batch, Block
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.model import GPT, Weights
from microgpt_lab.core.ops import Array
from microgpt_lab.core.sampler import generate
from microgpt_lab.core.see import unseen

BATCH_SIZE = 64  # documents in a batch of an evaluation
KINDS_OF_WEIGHTS = ("embedding", "position", "attention", "mlp", "block", "norm", "head")


class Evaluator:
    """Evaluate a model with its current `weights` on held-out documents, and sample from it."""

    # Defined in Trainer.
    weights: Weights
    step: int

    def __init__(self, model: GPT, corpus: Corpus, backend: Backend, held_out: list[str]):
        self.model, self.corpus, self.backend, self.held_out = model, corpus, backend, held_out
        longest, cut = corpus.longest, corpus.block_size
        if min(longest, cut) != min(longest, model.block_size):
            raise ValueError(f"Corpus has block_size={cut}, GPT has {model.block_size}: give both the same")
        self.longest = min(longest, cut)  # tokens to predict in a piece
        self.eval_batch_size = min(BATCH_SIZE, len(held_out)) or BATCH_SIZE
        self.last_validation = -1, math.nan, 0  # step, nats, tokens
        self.last_preview: tuple[int, list[str]] = -1, []  # step, documents
        self.loss_scan = backend.scan(unseen(lambda w, blocks: (w, (self.loss(w, blocks),))))

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return sum(self.parameters_by_kind.values())

    @property
    def parameters_by_kind(self) -> dict[str, int]:
        """The number of trainable parameters of each kind: those of embedding, attention, mlp, head …"""
        numbers: dict[str, int] = dict.fromkeys(KINDS_OF_WEIGHTS, 0)
        for name, w in self.weights.items():
            numbers[kind_of_weight(name)] += math.prod(w.shape)
        return {kind: number for kind, number in numbers.items() if number}

    @property
    def minimized(self) -> str:
        """What training minimizes, such as "cross-entropy + balance". Evaluations are cross-entropy alone."""
        return " + ".join(["cross-entropy", *self.model.loss_terms[1:]])

    def loss(self, w: Weights, blocks: list[Block]) -> Array:
        """Compute the negative log-likelihood of a batch, (1, 1), each token weighted by its loss_weight."""
        return weighted_sum(blocks, [self.model.nll(w, b.ids, b.targets) for b in blocks])

    def nats(self, pieces: list[list[int]]) -> tuple[float, int]:
        """Return the loss in nats, summed over all tokens, and the number of tokens. Computes no gradient."""
        if not pieces:
            raise ValueError("there are no documents to evaluate (split=none holds none out)")
        fit = max(map(len, pieces)) <= self.longest + 1  # samples may be longer
        length, height = self.longest if fit else self.model.block_size, self.eval_batch_size
        groups = (pieces[i : i + height] for i in range(0, len(pieces), height))
        batches = [Batch(group, length, mean=False, height=height) for group in groups]
        _, sums = self.loss_scan(self.weights, [(batch,) for batch in batches])
        nats, count = sum(nats for (nats,) in sums), sum(batch.tokens for batch in batches)
        if not math.isfinite(nats):
            raise FloatingPointError(f"step {self.step}: validation loss {nats / count}")
        return nats, count

    def evaluate(self, documents: Sequence[str]) -> float:
        """Compute the loss on documents, in the pieces that the corpus cuts: total nats / total tokens.

        ValueError if there are no documents.
        """
        nats, count = self.nats(self.pieces(documents))
        return nats / count

    def pieces(self, documents: Sequence[str]) -> list[list[int]]:
        return list(chain.from_iterable(map(self.corpus.pieces, documents)))

    def validate(self) -> float:
        """Compute the validation loss, on the held-out documents. ValueError if there are none (split=none).

        It is computed once per step: another call at the same step returns the same number.
        """
        if self.last_validation[0] != self.step:
            self.last_validation = self.step, *self.nats(self.pieces(self.held_out))
        _, nats, count = self.last_validation
        return nats / count

    def validate_unseen(self) -> tuple[float, int]:
        """Compute the validation loss on pieces that no training document has, and count their documents.

        NaN and 0 if there are none. Only the other pieces are computed again, and subtracted.
        """
        self.validate()
        _, nats, count = self.last_validation
        new = self.corpus.new(self.held_out)
        flags = chain.from_iterable(new)
        if seen := [piece for piece in self.pieces(self.held_out) if not next(flags)]:
            nats_seen, count_seen = self.nats(seen)
            nats, count = nats - nats_seen, count - count_seen
        return (nats / count if count else math.nan), sum(map(any, new))

    def sample(self, rng: Random | None = None, *, samples: int = 20, temperature: float = 0.5) -> list[str]:
        """Generate documents. Without `rng`, `corpus.rng` continues, as in microgpt.py.

        samples: number of documents to draw.
        temperature: randomness of the samples (0: the likeliest token, 1: the model's own distribution).
        """
        bos, rng, weights = self.corpus.bos, rng or self.corpus.rng, self.weights
        documents = []
        for _ in range(samples):
            ids = generate(self.model, weights, [bos], rng, stop=bos, temperature=temperature)
            documents.append(self.corpus.decode(ids))
        return documents

    def preview(self, samples: int) -> list[str]:
        """Generate a few documents during training, with a separate random generator.

        They are generated once per step: another call at the same step returns the same documents.
        """
        step, documents = self.last_preview
        if step != self.step or len(documents) < samples:
            self.last_preview = self.step, self.sample(Random(0), samples=samples)
        return self.last_preview[1][:samples]


def weighted_sum(blocks: list[Block], losses: list[Array]) -> Array:
    """Sum the losses of tokens, (…, T, 1) for each block, each times its loss_weight: (1, 1)."""
    first, *others = [(x * block.loss_weight).total() for block, x in zip(blocks, losses, strict=True)]
    return sum(others, start=first)


def kind_of_weight(name: str) -> str:
    """Return what a weight belongs to: "wte" to the embedding, "layer0.mlp.fc1" to the mlp."""
    place, *rest = name.split(".")
    if not rest:
        return "embedding" if place == "wte" else "head"
    place = rest[0] if place.startswith("layer") else place
    return "norm" if "norm" in place else place


def objective(model: GPT, w: Weights, blocks: list[Block]) -> Array:
    """Compute what training minimizes on a batch, and its terms, in a row (1, K). See `GPT.objective`."""
    each = [model.objective(w, b.ids, b.targets, b.masks) for b in blocks]
    first, *terms = [weighted_sum(blocks, list(losses)) for losses in zip(*each, strict=True)]
    return first.concat(*terms)
