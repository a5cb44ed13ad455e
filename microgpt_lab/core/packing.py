"""The weights as an optimizer gets them: matrix by matrix, or packed into rows."""

from __future__ import annotations

import inspect
from math import prod
from typing import Any

from microgpt_lab.core.model import Weights

ROW = "weights"


class Packing:
    """Pack all weights into one row if the optimizer is `elementwise`: one call instead of dozens.

    If the optimizer's `update` has an argument `role`, weights of different roles are packed into different
    rows, and its methods get the role of what they are called with.
    """

    def __init__(self, optimizer: Any, weights: Weights, roles: dict[str, str]):
        self.optimizer, self.elementwise = optimizer, getattr(optimizer, "elementwise", False)
        self.asks_role = "role" in inspect.signature(optimizer.update).parameters
        self.shapes = {name: tuple(w.shape) for name, w in weights.items()}
        self.rows: dict[str, list[str]] = {}  # the names of the weights in each row
        for name in weights:
            self.rows.setdefault(roles[name] if self.asks_role else ROW, []).append(name)
        self.roles = {row: row for row in self.rows} if self.elementwise else roles

    def pack(self, matrices: Weights) -> Weights:
        """Return rows, (1, N), or the matrices as they are if the optimizer is not elementwise."""
        if not self.elementwise:
            return matrices
        packed = {}
        for row, names in self.rows.items():
            first, *others = (matrices[name].reshape(1, prod(self.shapes[name])) for name in names)
            packed[row] = first.concat(*others)
        return packed

    def unpack(self, packed: Weights) -> Weights:
        """Undo `pack`: return the matrices by name."""
        if not self.elementwise:
            return packed
        matrices = {}
        for row, names in self.rows.items():
            start = 0
            for name in names:
                stop = start + prod(self.shapes[name])
                matrices[name], start = packed[row][start:stop].reshape(*self.shapes[name]), stop
        return {name: matrices[name] for name in self.shapes}

    def role(self, name: str) -> dict[str, str]:
        """Return the argument that tells the optimizer the role of a matrix or row, if it asks for it."""
        return {"role": self.roles[name]} if self.asks_role else {}
