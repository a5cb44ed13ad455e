"""Where commands and callbacks print: a terminal in colour, or a pipe in plain lines."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


class Pipe:
    """Standard output, without the spaces that tables put at the ends of lines."""

    def write(self, text: str) -> int:
        return sys.stdout.write(re.sub(r" +\n", "\n", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


def terminal(width: int | None = None) -> Console:
    """Standard output as a console of rich; a pipe has room for lines of this width."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False, emoji=False)
    return Console(highlight=False, emoji=False, file=Pipe(), width=width)  # type: ignore[arg-type]


def erase(console: Console) -> None:
    """Take away the last line, in which a sweep shows how far it is: something else is printed there."""
    from rich.control import Control
    from rich.segment import ControlType

    console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
