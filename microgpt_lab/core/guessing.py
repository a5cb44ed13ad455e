"""Baselines to compare a model with: uniform guessing, and n-grams counted in the training documents."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any


def guessing(train: Sequence[Any], held_out: Sequence[Any], vocab_size: int) -> dict[str, float]:
    """Compute the losses of the baselines on held-out pieces, in nats per token: uniform, then n-grams.

    The n-grams are counted in the training pieces, as tokens or as text:
    P(c | the n - 1 before) = (count + 0.1) / (total + 0.1 V).
    """
    seen, asked = (Counter(chain.from_iterable(map(trigrams, pieces))) for pieces in (train, held_out))
    losses = {"uniform": math.log(vocab_size)}
    for start, name in ((2, "unigram"), (1, "bigram"), (0, "trigram")):
        counts: Counter[tuple] = Counter()
        totals: Counter[tuple] = Counter()
        for gram, count in seen.items():
            counts[gram[start:]] += count
            totals[gram[start:-1]] += count
        losses[name] = (
            -math.fsum(
                count * math.log((counts[gram[start:]] + 0.1) / (totals[gram[start:-1]] + 0.1 * vocab_size))
                for gram, count in asked.items()
            )
            / asked.total()
        )
    return losses


def trigrams(tokens: Sequence[Any]) -> Iterable[tuple]:
    """Yield the trigram that ends at each token but the first. The first token is repeated in front."""
    return zip(chain(tokens[:1], tokens), tokens, islice(tokens, 1, None), strict=False)
