"""The source of the functions that made the tensors of a replay."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from microgpt_lab.inspection.recording import PACKAGE, Origin

# Their lines say less than those that call them: `y = x @ w.T`.
GENERAL = {str(PACKAGE / "core" / f"{name}.py") for name in ("derived", "interface")}


@dataclass(frozen=True)
class Function:
    """A function that made tensors: name, file, and lines, the first of which has the number `first`."""

    name: str
    file: str
    first: int
    lines: tuple[str, ...]


def made_by(origin: Origin) -> str:
    """Return the line of a part, or of the model, that made a tensor: "model.py:88: return fc2(…)"."""
    lines = [each for each in origin.lines if each[0].co_filename not in GENERAL] or [*origin.lines]
    if not lines:
        return ""
    code, line = lines[0]
    return f"{file_of(code)}:{line}: {linecache.getline(code.co_filename, line).strip()}"


def file_of(code: CodeType) -> str:
    """Return the path of a function's file in this project, or the name of another's."""
    path = Path(code.co_filename)
    return str(path.relative_to(PACKAGE.parent)) if path.is_relative_to(PACKAGE.parent) else path.name


def functions(origins: Iterable[Origin]) -> dict[CodeType, Function]:
    """Return the functions whose lines made a tensor, in the order in which they did.

    Without those whose source is not there.
    """
    found: dict[CodeType, Function] = {}
    for code in dict.fromkeys(code for each in origins for code, _ in reversed(each.lines)):
        try:
            lines, first = inspect.getsourcelines(code)
        except (OSError, TypeError):
            continue
        found[code] = Function(code.co_qualname, file_of(code), first, tuple(x.rstrip("\n") for x in lines))
    return found
