"""One-line reprs of the lab's objects: name, shape and first numbers.

Parts need no `__repr__` of their own: `called` shows any object by its options.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Sequence
from itertools import islice
from math import prod
from numbers import Real
from reprlib import Repr
from typing import Any

LONGEST = 240  # characters of a repr
FIRST = 4  # numbers of a tensor

short = Repr()
short.maxstring = short.maxother = 100


def line(text: str) -> str:
    """The text in one line, cut where it is too long."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def call_repr(self: Any) -> str:
    """A bound function, or an object, as one would write it: its name and its options.

    An object is shown with those parameters of its class that it keeps under their own names.

    >>> def gelu(x, *, approximate: str = "none"): ...
    >>> call_repr(functools.partial(gelu, approximate="tanh"))
    "gelu(approximate='tanh')"
    """
    if isinstance(self, functools.partial):
        parameters = inspect.signature(self).parameters.values()
        options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        name = getattr(self.func, "__name__", "partial").strip("_")
    else:
        name = type(self).__name__
        kept = inspect.signature(type(self)).parameters
        options = {key: getattr(self, key) for key in kept if hasattr(self, key)}
    return line(f"{name}({', '.join(f'{key}={short.repr(value)}' for key, value in options.items())})")


def preview(name: str, shape: Sequence[int], numbers: Iterable[Any]) -> str:
    """A tensor by its shape and its first numbers.

    >>> preview("Tensor", (2, 3), [0.5, -0.25, 0.125, 1.0, 2.0, 3.0])
    'Tensor(shape=(2, 3), data=[0.5, -0.25, 0.125, 1, …])'
    """
    first = [number(x) for x in islice(numbers, FIRST)]
    more = ["…"] if prod(shape) > FIRST else []
    return line(f"{name}(shape={tuple(shape)}, data=[{', '.join(first + more)}])")


def number(x: Any) -> str:
    """Four digits of a number; a comparison or a Value as it is."""
    return f"{x:.4g}" if isinstance(x, Real) and not isinstance(x, bool) else str(x)
