"""What can be asked of a model at any time of its training: its loss on documents, and new ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from microgpt_lab.backend import Backend, Batch, Block
from microgpt_lab.data import Corpus
from microgpt_lab.model import GPT, Weights
from microgpt_lab.ops import Array
from microgpt_lab.sampler import generate

TOGETHER = 64  # documents in a batch of an evaluation


class Evaluation:
    """A model with the weights that it has at this `step`, and documents held out to judge it by."""

    weights: Weights
    step: int

    def __init__(self, model: GPT, corpus: Corpus, backend: Backend, held_out: list[str]):
        self.model, self.corpus, self.backend, self.held_out = model, corpus, backend, held_out
        self.validated = -1, math.nan
        self.sums = backend.scan(lambda w, blocks: (w, (self.loss(w, blocks),)))

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(w.shape) for w in self.weights.values())

    def loss(self, w: Weights, blocks: list[Block]) -> Array:
        """The negative log-likelihood of a batch, each token counting its share."""
        nats = [self.model.nll(w, b.ids, b.targets, b.masks) * b.share for b in blocks]
        first, *others = [x.total() for x in nats]
        return sum(others, start=first)

    def evaluate(self, documents: Sequence[str]) -> float:
        """Total nats over total tokens; nothing is differentiated."""
        tokens = [piece for document in documents for piece in self.corpus.pieces(document)]
        starts = range(0, len(tokens), TOGETHER)
        batches = [Batch(tokens[i : i + TOGETHER], self.model.block_size, mean=False) for i in starts]
        _, sums = self.sums(self.weights, [(batch,) for batch in batches])
        nats, count = sum(nats for (nats,) in sums), sum(batch.tokens for batch in batches)
        if not math.isfinite(nats):
            raise FloatingPointError(f"step {self.step}: held-out loss {nats / count}")
        return nats / count

    def validate(self) -> float:
        """The loss on the held-out documents, computed once a step."""
        if self.validated[0] != self.step:
            self.validated = self.step, self.evaluate(self.held_out)
        return self.validated[1]

    def sample(self, rng: Random | None = None, *, samples: int = 20, temperature: float = 0.5) -> list[str]:
        """New documents; `rng` None goes on with the run's own generator, as microgpt.py does."""
        bos, rng, weights = self.corpus.bos, rng or self.corpus.rng, self.weights
        documents = []
        for _ in range(samples):
            ids = generate(self.model, weights, [bos], rng, stop=bos, temperature=temperature)
            documents.append(self.corpus.decode(ids))
        return documents
