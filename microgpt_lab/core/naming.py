"""Find one weight by its name: layer0.attention.wq:2:5, or wq[2,5] where one matrix has that name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from microgpt_lab.errors import suggest

NUMBER = re.compile(r"([\w.]+)(?::(\d+):(\d+)|\[ *(\d+) *, *(\d+) *\])")


def find_weight(name: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, int, int]:
    """Return the matrix, the row and the column of a weight. ValueError says what is wrong with its name.

    shapes: those of the weight matrices by name.

    >>> find_weight("wq[2,5]", {"wte": (27, 16), "layer0.attention.wq": (16, 16)})
    ('layer0.attention.wq', 2, 5)
    """
    match = NUMBER.fullmatch(name)
    if not match:
        raise ValueError(f"'{name}' names no weight: write matrix:row:column, as in {example(shapes)}")
    matrix = find_matrix(match[1], shapes)
    row, column = (int(match[i] or match[i + 2]) for i in (2, 3))
    height, width = shapes[matrix]
    if row >= height or column >= width:
        raise ValueError(f"{name}: {matrix} is {height} × {width}, and rows and columns count from 0")
    return matrix, row, column


def find_matrix(name: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the full name of a matrix: of "wq", "layer0.attention.wq" if no other name ends like that."""
    found = full_names(name, shapes)
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"'{name}' is the name of several matrices; write one of {', '.join(found)}")
    raise ValueError(f"there is no weight matrix '{name}'{suggest(name, shapes)}")


def full_names(name: str, names: Iterable[str]) -> list[str]:
    """Return the full names that a name may stand for: itself, or all that end in it."""
    names = list(names)
    return [name] if name in names else [full for full in names if full.endswith(f".{name}")]


def example(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The name of a weight that there is."""
    return f"{next(reversed(list(shapes)))}:0:0"
