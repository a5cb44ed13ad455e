"""Samplers, which choose new tokens from a model's logits: at random by default, or the likeliest."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cached_property
from random import Random

from microgpt_lab.core.cache import Cache
from microgpt_lab.core.model import GPT, Weights
from microgpt_lab.core.reprs import call_repr
from microgpt_lab.errors import at_least, between


class Continuation:
    """A prompt and the tokens that a sampler has added to it. It does not change: `then` returns a new one.

    tokens: the added tokens.
    stop: the token that ends a document. It is not added to `tokens`.
    ended: whether `stop` was taken, or `length` tokens are added (0: as many as the block has room for).

    A text that is longer than the block goes on with the last half of a block as its context.
    """

    def __init__(self, model: GPT, weights: Weights, prompt: Sequence[int], *, stop: int, length: int = 0):
        self._model, self._weights = model, weights
        self._cache, self._new, self._context = Cache(), list(prompt), list(prompt)
        self.stop, self.tokens = stop, list[int]()
        self._length = length or model.block_size + 1 - len(prompt)
        self.ended = self._length <= 0

    def then(self, token: int) -> Continuation:
        """Return the continuation after one more token."""
        _, cache = self._computed
        text = copy.copy(self)
        del text._computed  # the copy is at another token
        text._cache, text._new, text._context = cache, [token], [*self._context, token]
        if token != self.stop:
            text.tokens = [*self.tokens, token]
        text.ended = token == self.stop or len(text.tokens) >= self._length
        return text

    @property
    def logits(self) -> list[float]:
        """The unnormalized log-probabilities of the next token. FloatingPointError if they are not finite."""
        return self._computed[0]

    @cached_property
    def _computed(self) -> tuple[list[float], Cache]:
        """The logits, and the cache after the tokens so far."""
        ids, cache, size = self._new, self._cache.copy(), self._model.block_size
        if cache.length + len(ids) > size:
            ids, cache = self._context[-max(1, size // 2) :], Cache()
        logits = self._model.logits(self._weights, ids, cache).tolist()[-1]
        if not math.isfinite(max(logits)) or any(map(math.isnan, logits)):
            raise FloatingPointError("the logits are not finite")
        return logits, cache


class Multinomial:
    """Draw each token from softmax(logits / temperature), after filters in the order of the options.

    The order, and what each filter means, are those of Hugging Face's transformers. Each filter sees the
    probabilities that the ones before it have left, normalized.

    temperature: randomness of the samples (0: the likeliest token, 1: the model's own distribution).
    top_k: draw from the k likeliest tokens, and any as likely as the last one (0: all; Fan et al., 2018).
    top_p: draw from the likeliest tokens that together reach this probability (Holtzman et al., 2020).
    min_p: draw from tokens with at least this share of the largest probability (Nguyen et al., 2024).
    """

    def __init__(self, *, temperature: float = 0.5, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0):
        at_least(0, temperature=temperature, top_k=top_k)
        between(0, 1, top_p=top_p, min_p=min_p)
        if not top_p:
            raise ValueError("top_p must be above 0, not 0.0: it would leave no token")
        self.temperature, self.top_k, self.top_p, self.min_p = temperature, top_k, top_p, min_p

    __repr__ = call_repr

    def __call__(self, text: Continuation, rng: Random) -> list[int]:
        """Return the new tokens, drawn one after the other."""
        while not text.ended:
            probabilities = self.probabilities(text.logits)
            text = text.then(rng.choices(range(len(probabilities)), weights=probabilities)[0])
        return text.tokens

    def probabilities(self, logits: Sequence[float]) -> list[float]:
        """Return the probability of each token to be drawn."""
        largest = max(logits)
        if self.temperature == 0:
            first = logits.index(largest)
            return [float(i == first) for i in range(len(logits))]
        exps = [math.exp((x - largest) / self.temperature) for x in logits]
        total = sum(exps)
        p = [x / total for x in exps]
        if not (self.top_k or self.top_p < 1 or self.min_p):
            return p
        kept = sorted(range(len(p)), key=p.__getitem__, reverse=True)
        if 0 < self.top_k < len(p):
            kept = [i for i in kept if p[i] >= p[kept[self.top_k - 1]]]
        if self.top_p < 1:
            kept = likeliest(kept, p, self.top_p * sum(p[i] for i in kept))
        kept = [i for i in kept if p[i] >= self.min_p * p[kept[0]]]
        total, of_kept = sum(p[i] for i in kept), set(kept)
        return [x / total if i in of_kept else 0.0 for i, x in enumerate(p)]


def likeliest(order: list[int], p: list[float], share: float) -> list[int]:
    """Return the first tokens of `order`, as many as their probabilities p need to reach `share`."""
    cumulative = 0.0
    for n, i in enumerate(order, start=1):
        cumulative += p[i]
        if cumulative >= share:
            return order[:n]
    return order


class Greedy:
    """Take the likeliest token, always."""

    __repr__ = call_repr

    def __call__(self, text: Continuation, rng: Random) -> list[int]:
        """Return the new tokens."""
        while not text.ended:
            text = text.then(text.logits.index(max(text.logits)))
        return text.tokens
