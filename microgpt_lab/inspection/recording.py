"""Record which line of the model, or of a part, made each Tensor of the python backend.

>>> with Recording() as recording:      # doctest: +SKIP
...     loss = model.nll(weights, ids, targets)
>>> recording.origins[id(loss)].op      # doctest: +SKIP
'-'

The constructor of Tensor is replaced meanwhile, in this thread alone, so that a part needs to do nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import get_ident
from types import CodeType, FrameType
from typing import Any, NamedTuple

from microgpt_lab.tensors.tensor import Tensor

PACKAGE = Path(__file__).parents[1]
TENSORS, INSPECTION = (str(PACKAGE / room) + os.sep for room in ("tensors", "inspection"))
WIRING = str(PACKAGE / "core" / "wiring.py")
# Code between a part and a Tensor, or between two parts, which computes nothing by itself.
BETWEEN = {WIRING, *(str(PACKAGE / "core" / f"{name}.py") for name in ("ops", "autograd", "see"))}
FORWARDS = {"At.rotate", "At.bias", "At.remember", "At.add_loss", "At.see"}
HELPERS = {"_view", "reduce", "constants"}
SYMBOLS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "divide": "/",  # after an overflow
    "power": "**",
    "__matmul__": "@",
    "T": ".T",
    "__getitem__": "[:]",
    "broadcast_to": "broadcast",
    "tracked": "constant",
}


class Origin(NamedTuple):
    """What made a Tensor.

    op: the operation, such as "@" or "softmax".
    lines: the code and line number of each function that asked for it, from the innermost outwards.
    path: the part of the model, such as "layer0.attention", or "".
    """

    op: str
    lines: tuple[tuple[CodeType, int], ...]
    path: str


class Recording:
    """All Tensors made while the `with` statement runs, in order, and the origin of each by its id.

    The Tensors are kept, so that no other object gets their ids.
    """

    def __init__(self) -> None:
        self.made: list[Tensor] = []
        self.origins: dict[int, Origin] = {}

    def __enter__(self) -> Recording:
        self.original = original = Tensor.__init__
        thread = get_ident()

        def init(tensor: Any, *args: Any, **kwargs: Any) -> None:
            original(tensor, *args, **kwargs)
            if get_ident() == thread:
                self.made.append(tensor)
                self.origins[id(tensor)] = origin(sys._getframe(1))

        Tensor.__init__ = init  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *error: object) -> None:
        Tensor.__init__ = self.original  # type: ignore[method-assign]


def origin(frame: FrameType | None) -> Origin:
    """Return what made a Tensor in this frame."""
    op, lines, path = "", [], ""
    while frame is not None:
        code = frame.f_code
        file, name = code.co_filename, code.co_name
        if file.startswith(INSPECTION):
            break
        if file.startswith(TENSORS):
            if not op and not lines and name not in HELPERS and not name.startswith("<"):
                op = operation(frame)
        elif file == WIRING:
            path = path or frame.f_locals.get("path", "")
        elif file not in BETWEEN and code.co_qualname not in FORWARDS and not name.startswith("<"):
            lines.append((code, frame.f_lineno))
        frame = frame.f_back
    return Origin(op, tuple(lines), path)


def operation(frame: FrameType) -> str:
    """Return what the operation of this frame in `tensors` is called."""
    name = frame.f_code.co_name
    if name == "method":  # of `elementwise`
        name = frame.f_locals["f"].__name__
    elif name == "apply":
        name = frame.f_locals["name"]
    return SYMBOLS.get(name, name)
