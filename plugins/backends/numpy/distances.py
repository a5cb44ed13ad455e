"""Numbers by distance: what each head adds to the score of two tokens so far apart, say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from microgpt_lab.core.places import Places

from .calls import axes_sum, copy, select, spread, take
from .tape import call, into


def by_distance(w: np.ndarray, places: Places) -> tuple[np.ndarray, Callable]:
    """(N, heads) to (heads, T, S), see `Array.by_distance`, and how a gradient flows back."""
    size, heads = w.shape
    apart = np.arange(places.start, places.stop)[:, None] - np.arange(places.stop)
    within = (apart >= 0) & (apart < size)
    height, width = apart.shape
    rows = np.moveaxis(call(take, w, apart, 0), -1, 0)
    y = into(np.empty((heads, width, height), w.dtype).swapaxes(1, 2), select, within, rows, 0.0)

    def pull(g: np.ndarray) -> np.ndarray:
        sums = diagonals(call(select, within, g, 0.0))[:, height - 1 :]  # from distance 0 on
        near = min(size, width)
        return spread(sums[:, :near].T, w, slice(near))

    return y, pull


def diagonals(g: np.ndarray) -> np.ndarray:
    """(heads, T, S) to (heads, T + S - 1): the sums along diagonals, the first row's last number first."""
    heads, height, width = g.shape
    slanted = np.zeros((heads, height, height + width - 1), g.dtype)  # each row begins one further right
    strides = slanted.strides[0], slanted.strides[1] + g.itemsize, g.itemsize
    into(np.ndarray(g.shape, g.dtype, slanted, 0, strides), copy, g[..., ::-1])
    return call(axes_sum, slanted, (1,))[:, 0]
