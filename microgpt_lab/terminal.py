"""Where commands and callbacks print: a terminal in colour, or a pipe in plain lines."""

from __future__ import annotations

import re
import sys
from typing import Any

from rich.console import Console


class Pipe:
    """Standard output, without the spaces that tables put at the ends of lines."""

    def write(self, text: str) -> int:
        return sys.stdout.write(re.sub(r" +\n", "\n", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


def terminal(width: int | None = None) -> Console:
    """Standard output as a console of rich; a pipe has room for lines of this width."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, file=Pipe(), width=width)  # type: ignore[arg-type]
