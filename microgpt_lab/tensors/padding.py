"""Batches as padded NumPy arrays, for backends that compute with whole arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from microgpt_lab.core.backend import Batch
from microgpt_lab.tensors.masks import draw_masks


class Padded(NamedTuple):
    """K batches, padded to B documents of T tokens each.

    ids and targets (K, B, T) are integers. loss_weight (K, B, T, 1) is 0 at the padding and the context.
    masks (K, B, T, C) or (K, B, heads, T, T) are true for the numbers that dropout keeps.
    """

    ids: np.ndarray
    targets: np.ndarray
    loss_weight: np.ndarray
    masks: list[np.ndarray]


def padded(batches: list[Batch], dtype: str, *, height: int = 0, length: int = 0) -> Padded:
    """Pad at the end, to at least `height` documents and `length` tokens. No token attends to padding."""
    height = max(height, *(len(batch.pairs) for batch in batches))
    length = max(length, *(longest(batch) for batch in batches))
    tokens: list[int] = []
    weights: list[float] = []
    for batch in batches:
        for (ids, targets), context in zip(batch.pairs, batch.context, strict=True):
            tokens += ids
            tokens += targets[-1:] + [0] * (length - len(ids))
            weights += [0.0] * context
            weights += [batch.loss_weight] * (len(ids) - context)
            weights += [0.0] * (length - len(ids))
        missing = height - len(batch.pairs)
        tokens += [0] * (missing * (length + 1))
        weights += [0.0] * (missing * length)
    ids_and_targets = np.array(tokens).reshape(len(batches), height, length + 1)
    masks: list[np.ndarray] = []
    for i, dropout in enumerate(batches[0].dropouts):
        shape = (dropout.heads, length, length) if dropout.heads else (length, dropout.width)
        masks += (new := [np.zeros((len(batches), height, *shape), bool) for _ in range(dropout.sites)])
        for k, batch in enumerate(batches):
            for b, document_masks in enumerate(draw_masks(batch.dropouts[i], batch)):
                for mask, kept in zip(new, document_masks, strict=True):
                    mask[k, b][tuple(map(slice, kept.shape))] = kept
    loss_weight = np.array(weights, dtype).reshape(len(batches), height, length, 1)
    return Padded(ids_and_targets[..., :-1], ids_and_targets[..., 1:], loss_weight, masks)


def longest(batch: Batch) -> int:
    """The number of tokens in the longest document of a batch."""
    return max(len(ids) for ids, _ in batch.pairs)


def mask_scales(batch: Batch) -> list[float]:
    """Return the factor of each mask."""
    return [dropout.scale for dropout in batch.dropouts for _ in range(dropout.sites)]
