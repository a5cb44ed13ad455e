from typing import Literal

import numpy as np
import threadpoolctl

from microgpt_lab import Backend, hookimpl
from microgpt_lab.core.backend import Block
from microgpt_lab.tensors.padding import mask_scales, padded

from .array import Array


class NumPy(Backend):
    """Whole arrays on NumPy: each operation computes at once, and remembers how gradients flow back.

    precision: type of all numbers; in float64, losses follow those of the python backend to 1e-9.
    """

    fused = 20

    def __init__(self, *, precision: Literal["float64", "float32"] = "float64"):
        self.precision = precision
        threadpoolctl.threadpool_limits(1, user_api="blas")  # OpenBLAS rounds differently with more threads
        # Freed at once. From then on, glibc keeps up to 64 MB for the next step instead of returning it.
        np.empty(2**25 - 2**14, np.uint8)

    def tensor(self, rows):
        return Array(np.array(rows, self.precision))

    def value_and_grad(self, loss, weights):
        leaves = {name: Array(w.data, tracked=True) for name, w in weights.items()}
        row = loss(leaves)
        (row if row.shape == (1, 1) else row[:1]).backward()
        grads = {name: weights[name] * 0.0 if x.grad is None else Array(x.grad) for name, x in leaves.items()}
        return Array(row.data), grads

    def blocks(self, batch):
        """Pad the documents of a batch to the length of the longest, (B, T, C). Each part is a block."""
        *tokens, masks = padded([batch], self.precision)
        masks = [mask.astype(self.precision) * scale for mask, scale in zip(masks, mask_scales(batch))]
        size = -(-len(batch.pairs) // batch.parts)
        parts = [[x[0, i : i + size] for x in (*tokens, *masks)] for i in range(0, len(batch.pairs), size)]
        return [Block(ids, targets, Array(w), list(map(Array, masks))) for ids, targets, w, *masks in parts]

    def scan(self, f):
        return np.errstate(all="ignore")(super().scan(f))


@hookimpl
def backends():
    return [NumPy]
