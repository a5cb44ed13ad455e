"""The weights as an optimizer gets them: matrix by matrix, or packed into one row."""

from __future__ import annotations

from math import prod
from typing import Any

from microgpt_lab.core.model import Weights

ROW = "weights"


class Packing:
    """Pack all weights into one row if the optimizer is `elementwise`: one call instead of dozens."""

    def __init__(self, optimizer: Any, weights: Weights):
        self.elementwise = getattr(optimizer, "elementwise", False)
        self.shapes = {name: tuple(w.shape) for name, w in weights.items()}

    def pack(self, matrices: Weights) -> Weights:
        """Return one row, (1, N), or the matrices as they are if the optimizer is not elementwise."""
        if not self.elementwise:
            return matrices
        first, *others = (matrices[name].reshape(1, prod(shape)) for name, shape in self.shapes.items())
        return {ROW: first.concat(*others)}

    def unpack(self, packed: Weights) -> Weights:
        """Undo `pack`: return the matrices by name."""
        if not self.elementwise:
            return packed
        matrices, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + prod(shape)
            matrices[name], start = packed[ROW][start:stop].reshape(*shape), stop
        return matrices
