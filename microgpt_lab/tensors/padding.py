"""Batches as NumPy arrays, for backends that compute with whole arrays: padded to one length."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import numpy as np

from microgpt_lab.core.backend import Batch


class Padded(NamedTuple):
    """K batches of at most B documents of at most T tokens; what is padded counts nothing.

    ids and targets (K, B, T), integers; loss_weight (K, B, T, 1), 0 at the padding; masks (K, B, T, C), true
    for the numbers that dropout keeps.
    """

    ids: np.ndarray
    targets: np.ndarray
    loss_weight: np.ndarray
    masks: list[np.ndarray]


def padded(batches: list[Batch], dtype: str, *, height: int = 0, length: int = 0) -> Padded:
    """At least `height` documents and `length` tokens long. Padding comes last: no token sees it."""
    height = max(height, *(len(batch.pairs) for batch in batches))
    length = max(length, *(longest(batch) for batch in batches))
    tokens: list[int] = []
    loss_weight: list[float] = []
    for batch in batches:
        for ids, targets in batch.pairs:
            tokens += ids
            tokens += targets[-1:] + [0] * (length - len(ids))
            loss_weight += [batch.loss_weight] * len(ids)
            loss_weight += [0.0] * (length - len(ids))
        missing = height - len(batch.pairs)
        tokens += [0] * (missing * (length + 1))
        loss_weight += [0.0] * (missing * length)
    whole = np.array(tokens).reshape(len(batches), height, length + 1)
    masks: list[np.ndarray] = []
    if dropout := batches[0].dropout:
        shape = len(batches), height, length, dropout.width
        masks = [np.zeros(shape, bool) for _ in range(dropout.sites)]
    for k, batch in enumerate(batches):
        for b, kept in enumerate(draw(batch)):
            for mask, matrix in zip(masks, kept, strict=True):
                mask[k, b, : len(matrix)] = matrix
    shares = np.array(loss_weight, dtype).reshape(len(batches), height, length, 1)
    return Padded(whole[..., :-1], whole[..., 1:], shares, masks)


def longest(batch: Batch) -> int:
    return max(len(ids) for ids, _ in batch.pairs)


def draw(batch: Batch) -> Iterator[np.ndarray]:
    """Which numbers `Dropout.masks` keeps: NumPy has Python's generator too, the Mersenne Twister."""
    if batch.dropout is None:
        return
    *key, position = Random(batch.dropout.key).getstate()[1]
    rng, keep = np.random.RandomState(), 1 - batch.dropout.rate
    rng.set_state(("MT19937", np.array(key, np.uint32), position, 0, 0.0))
    for ids, _ in batch.pairs:
        yield rng.random_sample((batch.dropout.sites, len(ids), batch.dropout.width)) < keep
