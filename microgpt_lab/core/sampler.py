"""Decoding: sample new tokens from a model's logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from microgpt_lab.core.cache import Cache
from microgpt_lab.core.model import GPT, Weights


def distribution(
    logits: Sequence[float], temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> list[float]:
    """Compute softmax(logits / temperature), with 0 for the tokens that `top_k` and `top_p` exclude.

    `temperature` 0 takes the likeliest token. `top_k` keeps the k likeliest (0: all; Fan et al., 2018).
    `top_p` keeps the likeliest that together reach this probability (Holtzman et al., 2020).
    FloatingPointError if a logit is NaN or the maximum is not finite.
    """
    if not math.isfinite(max(logits)) or any(map(math.isnan, logits)):
        raise FloatingPointError("the logits are not finite")
    if temperature == 0:
        return [float(i == logits.index(max(logits))) for i in range(len(logits))]
    largest = max(logits)
    weights = [math.exp((x - largest) / temperature) for x in logits]
    total = sum(weights)
    kept, cumulative = set(), 0.0
    for i in sorted(range(len(weights)), key=weights.__getitem__, reverse=True)[: top_k or None]:
        kept.add(i)
        cumulative += weights[i] / total
        if cumulative >= top_p:
            break
    return [w / total if i in kept else 0.0 for i, w in enumerate(weights)]


def generate(
    model: GPT,
    weights: Weights,
    prompt: Sequence[int],
    rng: Random,
    *,
    stop: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> list[int]:
    """Generate the tokens after `prompt`, until `stop` is drawn or the block is full."""
    cache, ids, tokens = Cache(), list(prompt), []
    while cache.length + len(ids) <= model.block_size:
        logits = model.logits(weights, ids, cache).tolist()[-1]
        probabilities = distribution(logits, temperature, top_k, top_p)
        token = rng.choices(range(len(probabilities)), weights=probabilities)[0]
        if token == stop:
            break
        tokens.append(token)
        ids = [token]
    return tokens
