"""Name the tensors inside a model, to collect or replace them (docs/inside.md).

Model and parts call `see("layer0.attention.pattern", x)`, which returns x. Code that looks gets each named
tensor, and may return another in its place. Training and evaluation, which a backend may compile, run unseen.

>>> with seen("layer*.pattern") as inside:
...     see("layer0.attention.pattern", 0.25)
0.25
>>> inside
{'layer0.attention.pattern': 0.25}
>>> def without_mlp(name, x):
...     return x * 0.0 if name == "layer0.mlp" else x
>>> with looking(without_mlp):
...     see("layer0.mlp", 2.0)
0.0
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from functools import wraps
from typing import Any

Look = Callable[[str, Any], Any]
# The looks that are active in this thread, in the order in which they began.
looks: ContextVar[tuple[Look, ...]] = ContextVar("looks", default=())


def see(name: str, x: Any) -> Any:
    """Return x, or what the active looks replace it by."""
    for look in looks.get():
        x = look(name, x)
        if x is None:
            raise TypeError(f"a look at {name} returned None: it must return the tensor, or another one")
    return x


@contextmanager
def looking(look: Look) -> Iterator[None]:
    """Call `look(name, x)` for each named tensor, and go on with what it returns."""
    token = looks.set((*looks.get(), look))
    try:
        yield
    finally:
        looks.reset(token)


@contextmanager
def seen(*patterns: str) -> Iterator[dict[str, Any]]:
    """Collect the tensors whose names match a pattern (without patterns: all), as in `fnmatch`."""
    found: dict[str, Any] = {}

    def keep(name: str, x: Any) -> Any:
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns):
            found[name] = x
        return x

    with looking(keep):
        yield found


def unseen(f: Callable) -> Callable:
    """Return `f` as a function in which nobody looks.

    A backend may compile it, which would ignore some looks, and keep others for ever.
    """

    @wraps(f)
    def run(*args: Any) -> Any:
        token = looks.set(())
        try:
            return f(*args)
        finally:
            looks.reset(token)

    return run
