"""The computation of a replay as JSON, for a page that goes backward through it and shows every number.

`graph(replay)` is a dict:

    data        the numbers of all Values, base64 of float64, little-endian. Parents come before children
    tensors     a list of dicts, in the order in which the forward pass made them, weights first
    functions   the functions whose lines made them: name, file, first (its line number), lines (their text)
    loss        the number of the Value that backward begins at
    shares      the numbers of the T Values that add up to it, what each prediction adds
    counts      how many tensors, values and edges there are

A tensor has

    names       what model and parts call it: [] if it has no name, and often more than one
    shape       (…, T, C); its Values are in row-major order
    axes        what each axis stands for: "token" (a place in the text), "vocabulary", "head" or ""
    values      where its Values are in `data`: the number of the first, if they follow each other, else the
                numbers of all, base64 of uint32
    op          "@", "softmax", "relu", "+" …; "" for a weight
    path        the part that made it: "layer0.attention", or ""
    lines       the lines that asked for it, from the innermost outwards: [number of a function, line number]
    is_view     whether its Values are its parents' own, moved, repeated or left out. It may have constants of
                its own, such as the -inf of a mask
    parents     the numbers of the tensors that it was computed from
    derivatives of its Values by those of each parent: one number, if all are equal, else base64 of float64.
                Views and matrix products have none

A page finds the parents of Value i of a tensor with n Values in a parent with m Values:

    matrix products ("@"), left (…, T, K) and right (…, K, C) or (K, C): row t of left and column c of right.
                The derivative by a factor is the data of the other factor
    m = n       Value i
    m > n       Values i · m/n to (i + 1) · m/n - 1: its row. Derivatives follow each other in the same order
    m < n       Value ⌊i · m/n⌋: what belongs to its row
"""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any

from microgpt_lab.core.autograd import Value, data_of
from microgpt_lab.errors import UserError
from microgpt_lab.inspection.names import UNNAMED, Names
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.inspection.source import functions
from microgpt_lab.tensors.tensor import Product, Tensor


class Sent:
    """The numbers that a page gets, a Value once."""

    def __init__(self) -> None:
        self.data: list[float] = []
        self.index: dict[int, int] = {}

    def place(self, value: Any) -> int:
        """Return the place of a Value, or of a plain number, in `data`."""
        place = len(self.data)
        if isinstance(value, Value) and (place := self.index.setdefault(id(value), place)) < len(self.data):
            return place
        self.data.append(data_of(value))
        return place


def own_names(names: Names) -> dict[int, list[str]]:
    """Return the names of tensors that have some of their own, by id."""
    found: dict[int, list[str]] = {}
    for name, tensor in names.tensors.items():
        if not UNNAMED.fullmatch(name):
            found.setdefault(id(tensor), []).append(name)
    return found


def graph(replay: Replay) -> dict[str, Any]:
    """Return all Values and Tensors of a replay as JSON, in the format above. UserError if there are none."""
    if not replay.has_gradients:
        raise UserError(replay.no_gradients)
    names, tensors, origins = Names(replay), replay.tensors, replay.origins
    numbers, called, sent = {id(tensor): i for i, tensor in enumerate(tensors)}, own_names(names), Sent()
    code = functions(origins[id(tensor)] for tensor in tensors if id(tensor) in origins)
    number = {each: i for i, each in enumerate(code)}
    entries = []
    for tensor in tensors:
        origin, own = origins.get(id(tensor)), called.get(id(tensor), [])
        entry = {
            "names": own,
            "shape": tensor.shape,
            "axes": names.kinds[id(tensor)],
            "values": packed_range(list(map(sent.place, tensor.data))),
            "op": origin.op if origin else "",
            "path": origin.path if origin else "",
            "lines": [(number[c], line) for c, line in origin.lines if c in number] if origin else [],
            "is_view": tensor.is_view,
            "parents": [numbers[id(p)] for p in tensor.parents if id(p) in numbers and p.is_tracked],
        }
        if not tensor.is_view and not isinstance(tensor, Product):
            entry["derivatives"] = [packed_equal(column) for column in derivatives(tensor)]
        entries.append(entry)
    made = [x for tensor in tensors if not tensor.is_view for x in tensor.data if isinstance(x, Value)]
    return {
        "data": packed(sent.data, "d"),
        "tensors": entries,
        "functions": [vars(each) for each in code.values()],
        "loss": sent.place(replay.loss.data[0]),
        "shares": list(map(sent.place, replay.shares.data)),
        "counts": {
            "tensors": len(entries),
            "values": len(sent.data),
            "edges": sum(len(x.parents) for x in made),
        },
    }


def derivatives(tensor: Tensor) -> list[list[float]]:
    """The derivatives of a tensor's numbers by those of each parent, in the order of the docstring above."""
    parents = [len(p.data) for p in tensor.parents if p.is_tracked]
    each = [max(1, size // len(tensor.data)) for size in parents]
    columns: list[list[float]] = [[] for _ in parents]
    for value in tensor.data if parents else ():
        start = 0
        for column, size in zip(columns, each):
            column += value.local_grads[start : start + size]
            start += size
    return columns


def packed(numbers: Sequence[float], kind: str) -> str:
    """Return numbers of this kind of `array` as base64, little-endian."""
    items = array(kind, numbers)
    if sys.byteorder == "big":
        items.byteswap()
    return base64.b64encode(items.tobytes()).decode()


def packed_range(numbers: list[int]) -> int | str:
    """Return the first number, if the others follow it, else all as base64."""
    start = numbers[0]
    return start if numbers == list(range(start, start + len(numbers))) else packed(numbers, "I")


def packed_equal(numbers: list[float]) -> float | str:
    """Return the first number, if all are equal and finite, else all as base64."""
    is_one = len(set(numbers)) == 1 and math.isfinite(numbers[0])
    return numbers[0] if is_one else packed(numbers, "d")
