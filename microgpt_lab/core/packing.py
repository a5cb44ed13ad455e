"""How an optimizer sees the weights: matrix by matrix, or all in one row."""

from __future__ import annotations

from math import prod
from typing import Any

from microgpt_lab.core.model import Weights

ROW = "weights"


class Packing:
    """One row of all weights for an optimizer that says it is `elementwise`: a call instead of dozens."""

    def __init__(self, optimizer: Any, weights: Weights):
        self.elementwise = getattr(optimizer, "elementwise", False)
        self.shapes = {name: tuple(w.shape) for name, w in weights.items()}

    def pack(self, matrices: Weights) -> Weights:
        """By name, or one row, (1, N)."""
        if not self.elementwise:
            return matrices
        first, *others = (matrices[name].reshape(1, prod(shape)) for name, shape in self.shapes.items())
        return {ROW: first.concat(*others)}

    def unpack(self, packed: Weights) -> Weights:
        """What `pack` packed, by name."""
        if not self.elementwise:
            return packed
        matrices, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + prod(shape)
            matrices[name], start = packed[ROW][start:stop].reshape(*shape), stop
        return matrices
