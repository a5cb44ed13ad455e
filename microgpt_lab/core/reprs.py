"""One-line reprs of the lab's objects: name, shape and first numbers.

Parts need not define `__repr__`, because `call_repr` shows any object with its options.
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

MAX_LENGTH = 240  # characters of a repr
MAX_NUMBERS = 4  # of a tensor

short = Repr()
short.maxstring = short.maxother = 100


def line(text: str) -> str:
    """Put the text into one line and truncate it to `MAX_LENGTH` characters."""
    text = " ".join(text.split())
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def call_repr(self: Any, *, brief: bool = False) -> str:
    """Show a function or an object as a call, with its name and options.

    The options of an object are the parameters of its class that it stores under their own names. If `brief`,
    those at their default are left out, also inside of the parts of a model.

    >>> def gelu(x, *, approximate: str = "none"): ...
    >>> call_repr(functools.partial(gelu, approximate="tanh"))
    "gelu(approximate='tanh')"
    """

    def shown(value: Any) -> str:
        return (
            call_repr(value, brief=True)
            if brief and not isinstance(value, (Real, str))
            else short.repr(value)
        )

    is_function = isinstance(self, functools.partial) or inspect.isroutine(self)
    make = getattr(self, "func", self) if is_function else type(self)
    parameters = inspect.signature(make).parameters
    if is_function:
        bound = inspect.signature(self).parameters
        options = {key: bound[key].default for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    else:
        options = {key: getattr(self, key) for key in parameters if hasattr(self, key)}
    texts = {key: shown(value) for key, value in options.items()}
    if brief:
        defaults = {key: shown(p.default) for key, p in parameters.items() if p.default is not p.empty}
        texts = {key: text for key, text in texts.items() if text != defaults.get(key)}
    name = getattr(make, "__name__", "partial").strip("_")
    return line(f"{name}({', '.join(f'{key}={text}' for key, text in texts.items())})")


def trainer_repr(self: Any) -> str:
    """Show how far a trainer is, its optimizer, backend and model."""
    return line(f"Trainer(step {self.step} of {self.steps}, {self.optimizer}, {self.backend}, {self.model})")


def preview(name: str, shape: Sequence[int], numbers: Iterable[Any]) -> str:
    """Show a tensor by its shape and first numbers.

    >>> preview("Tensor", (2, 3), [0.5, -0.25, 0.125, 1.0, 2.0, 3.0])
    'Tensor(shape=(2, 3), data=[0.5, -0.25, 0.125, 1, …])'
    """
    first = [number(x) for x in islice(numbers, MAX_NUMBERS)]
    more = ["…"] if prod(shape) > MAX_NUMBERS else []
    return line(f"{name}(shape={tuple(shape)}, data=[{', '.join(first + more)}])")


def number(x: Any) -> str:
    """Format a number with four digits, and anything else (a Value, a truth value) with `str`."""
    return f"{x:.4g}" if isinstance(x, Real) and not isinstance(x, bool) else str(x)
