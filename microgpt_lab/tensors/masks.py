"""Dropout masks as NumPy arrays, with the numbers that Python's generator draws."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha512
from itertools import accumulate

import numpy as np

from microgpt_lab.core.backend import Batch, Dropout


class Twister(threading.local):
    """NumPy's Mersenne Twister, one for each thread: to make one takes longer than to draw a small mask."""

    def __init__(self):
        self.state = np.random.RandomState()

    def random(self, key: str, count: int) -> np.ndarray:
        """Return the first numbers that `random()` of Python's `Random(key)` returns."""
        text = key.encode()
        seed = (text + sha512(text).digest())[::-1]  # a large number, as in random.seed
        self.state.seed(np.frombuffer(seed + bytes(-len(seed) % 4), "<u4"))
        return self.state.random_sample(count)


twister = Twister()


def mask_sizes(dropout: Dropout, batch: Batch) -> list[int]:
    """Return how many numbers the masks of each document have."""
    lengths = (len(ids) for ids, _ in batch.pairs)
    return [dropout.sites * T * (dropout.heads * T or dropout.width) for T in lengths]


def draw_masks(dropout: Dropout, batch: Batch) -> Iterator[np.ndarray]:
    """Yield what `Dropout.masks` yields, as booleans, attention weights as (heads, T, T)."""
    sizes = mask_sizes(dropout, batch)
    kept = twister.random(dropout.key, sum(sizes)) < 1 - dropout.rate
    for (ids, _), end, size in zip(batch.pairs, accumulate(sizes), sizes, strict=True):
        T = len(ids)
        if dropout.heads:
            yield kept[end - size : end].reshape(dropout.sites, T, dropout.heads, T).swapaxes(1, 2)
        else:
            yield kept[end - size : end].reshape(dropout.sites, T, dropout.width)
