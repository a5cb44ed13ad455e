"""Standard output for commands and callbacks: colours in a terminal, plain lines in a pipe."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def in_notebook() -> bool:
    """Return whether the code runs in a notebook, which shows HTML. IPython on a terminal is none."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


class Pipe:
    """Standard output without the trailing spaces that tables add to lines.

    If the reader of the pipe has closed it, as `head` does, nothing more is written.
    """

    def write(self, text: str) -> int:
        with silent_if_closed():
            sys.stdout.write(re.sub(r" +\n", "\n", text))
        return len(text)

    def flush(self) -> None:
        with silent_if_closed():
            sys.stdout.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


@contextlib.contextmanager
def silent_if_closed() -> Iterator[None]:
    """Discard standard output from now on if the reader of the pipe has closed it."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def replace_unprintable() -> None:
    """Print "?" for characters that the encoding of the output lacks, instead of failing.

    In a pipe, Windows encodes for its language: with cp1252, say, which has no arrows.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def terminal(width: int | None = None) -> Console:
    """Return a rich console for standard output.

    `width` is the number of columns in a pipe. A terminal has its own width.
    """
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False, emoji=False)
    pipe: Any = Pipe()  # a notebook gets plain text, too
    return Console(highlight=False, emoji=False, file=pipe, width=width, force_jupyter=False)


def print_table(console: Console, table: Any) -> None:
    """Print a table without the spaces that pad its last column, which would be copied with it."""
    with console.capture() as capture:
        console.print(table)
    sys.stdout.write(re.sub(r" +(\x1b\[0m)?\n", r"\1\n", capture.get()))


def erase(console: Console) -> None:
    """Erase the current line, where a sweep shows its progress, so that other output can take its place."""
    from rich.control import Control
    from rich.segment import ControlType

    console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))


def with_prefix(number: float) -> str:
    """Format a number with three digits and the prefix of its thousands: 25632 as "25.6 k"."""
    for prefix in ("", " k", " M", " G"):
        if number < 999.5:
            return f"{number:.3g}{prefix}"
        number /= 1000
    return f"{number:,.3g} T" if number < 999.5 else f"{number:,.0f} T"


def in_bytes(number: float) -> str:
    """Write a number of bytes with two digits: 63 MB, 1.2 GB."""
    return f"{with_prefix(float(f'{number:.1e}'))}B"


def format_duration(seconds: float) -> str:
    """Format a duration: 45s, 12min or 3h05."""
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    return f"{minutes}min" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}"
