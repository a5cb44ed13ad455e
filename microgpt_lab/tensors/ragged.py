"""Batches as NumPy arrays without padding: the tokens of all documents, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from microgpt_lab.core.backend import Batch, Dropout
from microgpt_lab.tensors.masks import draw_masks, mask_sizes

WORTH = 4_000_000  # numbers of all masks from which on threads share the steps


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


def ragged(batches: Sequence[Batch], dtype: Any, threads: int = 1) -> Ragged:
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
    return Ragged(docs, lengths, ids, targets, weights, *masks(batches, dtype, threads))


def masks(batches: Sequence[Batch], dtype: Any, threads: int) -> list[np.ndarray]:
    """Return the dropout masks of tokens, and those of attention weights.

    Each step has a key of its own, so that threads can share the steps.
    """
    found = [np.zeros(1, dtype), np.zeros(1, dtype)]
    for i, dropout in enumerate(batches[0].dropouts):
        dropouts = [batch.dropouts[i] for batch in batches]
        if threads > 1 and len(batches) * sum(mask_sizes(dropout, batches[0])) > WORTH:
            with ThreadPoolExecutor(threads) as pool:
                kept = list(pool.map(masks_of_step, dropouts, batches))
        else:
            kept = list(map(masks_of_step, dropouts, batches))
        found[bool(dropout.heads)] = np.multiply(np.concatenate(kept), dropout.scale, dtype=dtype)
    return found


def masks_of_step(dropout: Dropout, batch: Batch) -> np.ndarray:
    """Return the masks of a step in one row, site by site, as booleans."""
    documents = [x.reshape(dropout.sites, -1) for x in draw_masks(dropout, batch)]
    return (np.concatenate(documents, axis=1) if documents[1:] else documents[0]).reshape(-1)
