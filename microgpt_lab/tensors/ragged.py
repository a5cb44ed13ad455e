"""Batches as NumPy arrays without padding: the tokens of all documents, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from microgpt_lab.core.backend import Batch
from microgpt_lab.tensors.padding import draw_masks


class Ragged(NamedTuple):
    """Several batches of documents of any length.

    docs has the number of documents of each batch, and lengths the number of tokens of each document. ids,
    targets and weights (of the losses; 0 for the context of a piece) have a number for each token. masks of
    tokens and score_masks of attention weights lie batch by batch, site by site, document by document.
    """

    docs: np.ndarray
    lengths: np.ndarray
    ids: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    masks: np.ndarray
    score_masks: np.ndarray


def ragged(batches: Sequence[Batch], dtype: Any) -> Ragged:
    """Return the arrays of several batches, which have dropout masks of the same kinds."""
    pairs = list(chain.from_iterable(batch.pairs for batch in batches))
    docs = np.array([len(batch.pairs) for batch in batches], np.int64)
    lengths = np.array([len(ids) for ids, _ in pairs], np.int32)
    ids = np.fromiter(chain.from_iterable(ids for ids, _ in pairs), np.int32)
    targets = np.fromiter(chain.from_iterable(targets for _, targets in pairs), np.int32)
    weights = np.repeat(np.repeat(np.array([batch.loss_weight for batch in batches], dtype), docs), lengths)
    context = list(chain.from_iterable(batch.context for batch in batches))
    if any(context):
        place = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        weights[place < np.repeat(context, lengths)] = 0
    return Ragged(docs, lengths, ids, targets, weights, *masks(batches, dtype))


def masks(batches: Sequence[Batch], dtype: Any) -> list[np.ndarray]:
    """Return the dropout masks of tokens, and those of attention weights."""
    found = [np.zeros(1, dtype), np.zeros(1, dtype)]
    for i, dropout in enumerate(batches[0].dropouts):
        kept: list[np.ndarray] = []
        for batch in batches:
            kept += (
                site.reshape(-1) for sites in zip(*draw_masks(batch.dropouts[i], batch)) for site in sites
            )
        found[bool(dropout.heads)] = np.multiply(np.concatenate(kept), dropout.scale, dtype=dtype)
    return found
