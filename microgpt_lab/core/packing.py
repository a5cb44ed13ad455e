"""The weights as an optimizer gets them: matrix by matrix, or packed into rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import prod
from typing import Any

from microgpt_lab.core.interface import ROLES, Weights

ROW = "weights"


class Packing:
    """Pack all weights into one row if the optimizer is `elementwise`: one call instead of dozens.

    If the optimizer's `init` or `update` has an argument `role`, weights of different roles are packed into
    different rows. An optimizer that treats only some roles differently lists them in `roles`: all others
    then share a row, because each row costs time.

    An optimizer with a method `gradient_at(w, state)` gets the gradient at the weights that this returns.
    """

    def __init__(self, optimizer: Any, weights: Weights, roles: dict[str, str]):
        self.gradient_at = getattr(optimizer, "gradient_at", lambda w, state: w)
        self.elementwise = getattr(optimizer, "elementwise", False)
        asks = role_argument(optimizer.init, "") or role_argument(optimizer.update, "")
        apart = getattr(optimizer, "roles", ROLES) if asks else ()
        self.shapes = {name: tuple(w.shape) for name, w in weights.items()}
        self.rows: dict[str, list[str]] = {}  # the names of the weights in each row
        for name in weights:
            self.rows.setdefault(roles[name] if roles[name] in apart else ROW, []).append(name)
        if self.elementwise:
            roles = {row: roles[names[0]] for row, names in self.rows.items()}
        # The arguments that tell the optimizer's methods the role of each matrix or row.
        self.init_roles = {name: role_argument(optimizer.init, role) for name, role in roles.items()}
        self.update_roles = {name: role_argument(optimizer.update, role) for name, role in roles.items()}

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

    def gradient_point(self, carry: tuple[Weights, Any]) -> Weights:
        """Return the matrices at which a step computes the gradient."""
        packed, state = carry
        return self.unpack({name: self.gradient_at(w, state[name]) for name, w in packed.items()})


def role_argument(method: Callable, role: str) -> dict[str, str]:
    """Return the argument `role` of an optimizer's `init` or `update`, if the method has it."""
    return {"role": role} if "role" in inspect.signature(method).parameters else {}
