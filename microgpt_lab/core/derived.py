"""Functions of tensors that are made of those in `ops`."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from microgpt_lab.core.ops import Array, logsumexp, max, sum, where
from microgpt_lab.core.places import Places


def maximum(a: Array, b: Array | float) -> Array:
    """Elementwise maximum of `a` and `b`."""
    return where(a > b, a, b)


def mean(x: Array) -> Array:
    """Mean over the last axis: (…, C) to (…, 1)."""
    return x.sum() * (1 / x.shape[-1])


def log_softmax(x: Array) -> Array:
    """log softmax(x), also accurate for small probabilities and large x. (…, C) to (…, C)."""
    x = x - max(x)
    return x - logsumexp(x)


def cross_entropy(logits: Array, targets: Sequence[int]) -> Array:
    """Cross-entropy, -log softmax(logits)[target], in nats: (…, T, vocab_size) to (…, T, 1)."""
    return logsumexp(logits) - logits.pick(targets)


def repeat_heads(x: Array, heads: int) -> Array:
    """Repeat each head of x so that there are `heads`: (…, few, T, D) to (…, heads, T, D)."""
    few, D = x.shape[-3], x.shape[-1]
    if few == heads:
        return x
    merged = x.merge_heads()
    first, *others = (merged[i * D : (i + 1) * D] for i in range(few) for _ in range(heads // few))
    return first.concat(*others).split_heads(heads)


def visible(scores: Array) -> Array:
    """Count the tokens that each token may attend to: scores above -inf. (…, T, S) to (…, T, 1)."""
    return sum(where(scores > -inf, 1.0, 0.0))


def convolve(x: Array, kernel: Array, places: Places) -> Array:
    """Causal convolution, Σ kernel[t - s] x[s] over the tokens s up to t.

    x: (…, S, C), all tokens so far. kernel: (N, 1), a number for each distance. Returns (…, T, C), for the
    tokens at `places`.
    """
    return (x.T @ kernel.by_distance(places).merge_heads().T).T
