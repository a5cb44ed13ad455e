"""Evaluation of a model, during and after training: its loss on documents, and samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, islice
from random import Random
from typing import Any

from microgpt_lab.core.backend import Backend, Batch, Block
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.model import GPT, Weights
from microgpt_lab.core.ops import Array
from microgpt_lab.core.pieces import Piece
from microgpt_lab.core.sampler import Continuation, Multinomial
from microgpt_lab.core.see import unseen

BATCH_SIZE, LONG = 64, 256  # documents in a batch of an evaluation, if none is longer than 256 tokens
KINDS_OF_WEIGHTS = ("embedding", "position", "attention", "mlp", "block", "norm", "head")


class Evaluator:
    """Evaluate a model with its current `weights` on held-out documents, and sample from it."""

    # Defined in Trainer.
    weights: Weights
    step: int

    sampler: Any = Multinomial()  # of `sample` and `preview`
    memory = 0  # estimate for the process, in bytes (0: unknown)

    def __init__(self, model: GPT, corpus: Corpus, backend: Backend, held_out: list[str]):
        self.model, self.corpus, self.backend, self.held_out = model, corpus, backend, held_out
        longest, cut = corpus.longest, corpus.block_size
        if min(longest, cut) != min(longest, model.block_size):
            raise ValueError(f"Corpus has block_size={cut}, GPT has {model.block_size}: give both the same")
        self.longest = min(longest, cut)  # tokens to predict in a piece
        pieces = len(self.pieces(held_out)) if corpus.stream else len(held_out)
        self.eval_batch_size = evaluated_together(pieces or BATCH_SIZE, self.longest)
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
        first, *others = [weighted_sum(b, self.model.nll(w, b.ids, b.targets)) for b in blocks]
        return sum(others, start=first)

    def nats(self, pieces: list[Piece]) -> tuple[float, int]:
        """Return the loss in nats, summed over all scored tokens, and their number. Computes no gradient."""
        scores = self.scores(pieces, self.eval_batch_size)
        return sum(nats for nats, _ in scores), sum(count for _, count in scores)

    def scores(self, pieces: list[Piece], height: int) -> list[tuple[float, int]]:
        """Return the nats and the number of scored tokens of each batch of `height` pieces."""
        if not pieces:
            raise ValueError("there are no documents to evaluate (split=none holds none out)")
        fit = max(len(tokens) for tokens, _ in pieces) <= self.longest + 1  # samples may be longer
        length = self.longest if fit else self.model.block_size
        groups = (zip(*pieces[i : i + height], strict=True) for i in range(0, len(pieces), height))
        batches = [
            Batch(tokens, length, mean=False, height=height, context=context) for tokens, context in groups
        ]
        _, sums = self.loss_scan(self.weights, [(batch,) for batch in batches])
        nats, count = sum(nats for (nats,) in sums), sum(batch.tokens for batch in batches)
        if not math.isfinite(nats):
            raise FloatingPointError(f"step {self.step}: validation loss {nats / count}")
        return [(nats, batch.tokens) for (nats,), batch in zip(sums, batches, strict=True)]

    def nats_of_each(self, documents: Sequence[Sequence[Piece]]) -> list[tuple[float, int]]:
        """Return the nats and the number of scored tokens of each document, given as its pieces.

        Each piece is a batch of its own. Of a stream, give each window as a document.
        """
        scores = iter(self.scores(list(chain.from_iterable(documents)), 1))
        sums = (list(islice(scores, len(pieces))) for pieces in documents)
        return [(sum(nats for nats, _ in each), sum(count for _, count in each)) for each in sums]

    def evaluate(self, documents: Sequence[str]) -> float:
        """Compute the loss on documents, in the pieces that the corpus scores: total nats / total tokens.

        ValueError if there are no documents.
        """
        nats, count = self.nats(self.pieces(documents))
        return nats / count

    def pieces(self, documents: Sequence[str]) -> list[Piece]:
        """Return the pieces of documents that an evaluation scores."""
        return list(chain.from_iterable(map(self.corpus.scored, documents)))

    def validate(self) -> float:
        """Compute the validation loss, on the held-out documents. ValueError if there are none (split=none).

        It is computed once per step: another call at the same step returns the same number.
        """
        if self.last_validation[0] != self.step:
            self.last_validation = self.step, *self.nats(self.pieces(self.held_out))
        _, nats, count = self.last_validation
        return nats / count

    def bits_per_char(self) -> float:
        """Compute the validation loss in bits per character, which compares models of other tokenizers too.

        It is of whole documents, those longer than the block in windows; with `long_docs=truncate`, of their
        first 1,000 characters at most.
        """
        self.validate()
        _, nats, _ = self.last_validation
        if not self.corpus.scores_all_of(self.held_out):
            nats, _ = self.nats(list(chain.from_iterable(map(self.corpus.whole_windows, self.held_out))))
        return self.corpus.bits_per_char(nats, self.held_out)

    def validation_metrics(self) -> dict[str, float]:
        """Compute the metrics of an evaluation: bits per character only where it costs nothing."""
        metrics = {"loss/val": self.validate()}
        if self.corpus.scores_all_of(self.held_out):
            metrics["bits_per_char/val"] = self.bits_per_char()
        return metrics

    def validate_unseen(self) -> tuple[float, int]:
        """Compute the validation loss on documents with a piece that training has not, and count them.

        NaN and 0 if there are none. Only the other documents are computed again, and subtracted.
        """
        self.validate()
        _, nats, count = self.last_validation
        new = list(map(any, self.corpus.new(self.held_out)))
        if seen := [document for document, flag in zip(self.held_out, new, strict=True) if not flag]:
            nats_seen, count_seen = self.nats(self.pieces(seen))
            nats, count = nats - nats_seen, count - count_seen
        return (nats / count if count else math.nan), sum(new)

    def sample(self, rng: Random | None = None, *, samples: int = 20) -> list[str]:
        """Generate documents with `sampler`. Without `rng`, `corpus.rng` continues, as in microgpt.py.

        samples: number of documents to draw.
        """
        rng, weights = rng or self.corpus.rng, self.weights
        start = Continuation(self.model, weights, self.corpus.start, stop=self.corpus.bos)
        return [self.corpus.decode(self.sampler(start, rng)) for _ in range(samples)]

    def preview(self, samples: int) -> list[str]:
        """Generate a few documents during training, with a separate random generator.

        They are generated once per step: another call at the same step returns the same documents.
        """
        step, documents = self.last_preview
        if step != self.step or len(documents) < samples:
            self.last_preview = self.step, self.sample(Random(0), samples=samples)
        return self.last_preview[1][:samples]


def evaluated_together(pieces: int, longest: int) -> int:
    """Return the number of pieces in a batch of an evaluation: fewer long ones, whose scores grow as T²."""
    return max(1, min(pieces, BATCH_SIZE, BATCH_SIZE * LONG**2 // longest**2))


def weighted_sum(block: Block, losses: Array) -> Array:
    """Sum the losses of a block's tokens, (…, T, 1), each times its loss_weight: (1, 1)."""
    return (losses * block.loss_weight).total()


def kind_of_weight(name: str) -> str:
    """Return what a weight belongs to: "wte" to the embedding, "layer0.mlp.fc1" to the mlp."""
    place, *rest = name.split(".")
    if not rest:
        return "embedding" if place == "wte" else "head"
    place = rest[0] if place.startswith("layer") else place
    return "norm" if "norm" in place else place


def objective(model: GPT, w: Weights, block: Block) -> Array:
    """Compute what training minimizes on a block, and its terms, in a row (1, K). See `GPT.objective`."""
    losses = model.objective(w, block.ids, block.targets, block.masks)
    first, *terms = [weighted_sum(block, x) for x in losses]
    return first.concat(*terms)
