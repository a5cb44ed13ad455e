"""Batches as NumPy arrays, for backends that compute with whole arrays: padded to one length."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import numpy as np

from microgpt_lab.backend import Batch


class Padded(NamedTuple):
    """K batches of at most B documents of at most T tokens; what is padded counts nothing.

    ids and targets (K, B, T), integers; share (K, B, T, 1), 0 at the padding; dropout's masks, each
    (K, B, T, C), of 0 and 1 / (1 - rate).
    """

    ids: np.ndarray
    targets: np.ndarray
    share: np.ndarray
    masks: list[np.ndarray]


def padded(batches: list[Batch], dtype: str, *, height: int = 0, length: int = 0) -> Padded:
    """At least `height` documents and `length` tokens long. Padding comes last: no token sees it."""
    height = max(height, *(len(batch.pairs) for batch in batches))
    length = max(length, *(longest(batch) for batch in batches))
    blank = [[0] * length]
    ids, targets, share = [], [], []
    for batch in batches:
        missing = height - len(batch.pairs)
        spare = [[0] * (length - len(inputs)) for inputs, _ in batch.pairs]
        ids.append([inputs + rest for (inputs, _), rest in zip(batch.pairs, spare)] + blank * missing)
        targets.append([outputs + rest for (_, outputs), rest in zip(batch.pairs, spare)] + blank * missing)
        shares = [[batch.share] * len(inputs) + rest for (inputs, _), rest in zip(batch.pairs, spare)]
        share.append(shares + blank * missing)
    masks: list[np.ndarray] = []
    if dropout := batches[0].dropout:
        shape = len(batches), height, length, dropout.width
        masks = [np.zeros(shape, dtype) for _ in range(dropout.places)]
    for k, batch in enumerate(batches):
        for b, drawn in enumerate(draw(batch)):
            for mask, matrix in zip(masks, drawn, strict=True):
                mask[k, b, : len(matrix)] = matrix
    return Padded(np.array(ids), np.array(targets), np.array(share, dtype)[..., None], masks)


def longest(batch: Batch) -> int:
    return max(len(ids) for ids, _ in batch.pairs)


def draw(batch: Batch) -> Iterator[np.ndarray]:
    """As `Dropout.masks`, number for number: NumPy has Python's generator, the Mersenne Twister."""
    if batch.dropout is None:
        return
    *key, position = Random(batch.dropout.key).getstate()[1]
    rng, keep = np.random.RandomState(), 1 - batch.dropout.rate
    rng.set_state(("MT19937", np.array(key, np.uint32), position, 0, 0.0))
    for ids, _ in batch.pairs:
        yield (rng.random_sample((batch.dropout.places, len(ids), batch.dropout.width)) < keep) / keep
