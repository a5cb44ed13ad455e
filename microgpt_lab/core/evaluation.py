"""What can be asked of a model at any time of its training: its loss on documents, and new ones."""

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

TOGETHER = 64  # documents in a batch of an evaluation


class Evaluation:
    """A model with the weights that it has at this `step`, and documents held out to judge it by."""

    weights: Weights
    step: int

    def __init__(self, model: GPT, corpus: Corpus, backend: Backend, held_out: list[str]):
        self.model, self.corpus, self.backend, self.held_out = model, corpus, backend, held_out
        longest, cut = corpus.longest, corpus.block_size
        if min(longest, cut) != min(longest, model.block_size):
            raise ValueError(f"Corpus has block_size={cut}, GPT has {model.block_size}: give both the same")
        self.longest = min(longest, cut)  # tokens to predict in a piece
        self.together = min(TOGETHER, len(held_out)) or TOGETHER
        self.validated = -1, math.nan, 0
        self.previewed: tuple[int, list[str]] = -1, []
        self.loss_scan = backend.scan(lambda w, blocks: (w, (self.loss(w, blocks),)))

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(w.shape) for w in self.weights.values())

    def loss(self, w: Weights, blocks: list[Block]) -> Array:
        """The negative log-likelihood of a batch, each token counting its loss_weight."""
        nats = [self.model.nll(w, b.ids, b.targets, b.masks) * b.loss_weight for b in blocks]
        first, *others = [x.total() for x in nats]
        return sum(others, start=first)

    def nats(self, pieces: list[list[int]]) -> tuple[float, int]:
        """The sum over all their tokens, and how many these are; nothing is differentiated."""
        if not pieces:
            raise ValueError("there are no documents to evaluate (split=none holds none out)")
        fit = max(map(len, pieces)) <= self.longest + 1  # samples may be longer
        length, height = self.longest if fit else self.model.block_size, self.together
        groups = (pieces[i : i + height] for i in range(0, len(pieces), height))
        batches = [Batch(group, length, mean=False, height=height) for group in groups]
        _, sums = self.loss_scan(self.weights, [(batch,) for batch in batches])
        nats, count = sum(nats for (nats,) in sums), sum(batch.tokens for batch in batches)
        if not math.isfinite(nats):
            raise FloatingPointError(f"step {self.step}: held-out loss {nats / count}")
        return nats, count

    def evaluate(self, documents: Sequence[str]) -> float:
        """Total nats over total tokens of these documents, in the pieces that the corpus cuts.

        ValueError if there are no documents.
        """
        nats, count = self.nats(self.pieces(documents))
        return nats / count

    def pieces(self, documents: Sequence[str]) -> list[list[int]]:
        return list(chain.from_iterable(map(self.corpus.pieces, documents)))

    def validate(self) -> float:
        """The loss on the held-out documents. ValueError if there are none, as with split=none.

        It is computed once a step: another call at the same step returns the same number.
        """
        if self.validated[0] != self.step:
            self.validated = self.step, *self.nats(self.pieces(self.held_out))
        _, nats, count = self.validated
        return nats / count

    def validate_unseen(self) -> tuple[float, int]:
        """The same without the pieces that training sees too: the loss, and of how many documents it is.

        NaN of 0 documents if it sees all. Only what is left out is computed again, and subtracted.
        """
        self.validate()
        _, nats, count = self.validated
        new = self.corpus.new(self.held_out)
        flags = chain.from_iterable(new)
        if seen := [piece for piece in self.pieces(self.held_out) if not next(flags)]:
            nats_seen, count_seen = self.nats(seen)
            nats, count = nats - nats_seen, count - count_seen
        return (nats / count if count else math.nan), sum(map(any, new))

    def sample(self, rng: Random | None = None, *, samples: int = 20, temperature: float = 0.5) -> list[str]:
        """New documents; `rng` None goes on with the run's own generator, as microgpt.py does.

        samples: how many documents to print.
        temperature: how freely they are drawn: 0 takes the likeliest token, 1 the model's own distribution.
        """
        bos, rng, weights = self.corpus.bos, rng or self.corpus.rng, self.weights
        documents = []
        for _ in range(samples):
            ids = generate(self.model, weights, [bos], rng, stop=bos, temperature=temperature)
            documents.append(self.corpus.decode(ids))
        return documents

    def preview(self, samples: int) -> list[str]:
        """A few documents to look at during training, drawn with a generator of their own.

        They are drawn once a step: whoever asks again at the same step gets the same documents.
        """
        step, documents = self.previewed
        if step != self.step or len(documents) < samples:
            self.previewed = self.step, self.sample(Random(0), samples=samples)
        return self.previewed[1][:samples]
