"""What a user did wrong, in one line: what, where, what to do instead."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

JOINERS = "\u200c\u200d"  # some scripts are written with them

# A full disk, a quota or limit, a read-only folder, too many open files, a broken disk, one that is gone.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE)
NO_ROOM += (errno.ENFILE, errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ENOTCONN)


class UserError(Exception):
    """Printed without a traceback; the program ends with this status."""

    status = 2


class NoRoom(UserError):
    """The machine takes no more: a full disk, a read-only folder, too many open files."""

    status = 1


class Changed(UserError):
    """A run would not go on as it began: its checkpoint is damaged, or what it was made with is another."""


class Busy(UserError):
    """Another process is at work there."""


def printable(text: str) -> str:
    """The text with escapes in place of what steers a terminal or turns the direction of writing.

    >>> printable("a\x1b[2J")
    'a\\\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in JOINERS else char.encode("unicode_escape").decode()
        for char in text
    )


def suggest(word: str, words: Iterable[str]) -> str:
    """'; did you mean X?' if one of the words is near, else '; there are …'."""
    words = sorted(words)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else f"; there is {', '.join(words) or 'none'}"


def at_least(bound: float, **values: float) -> None:
    """ValueError for the first of the values that is smaller, or no finite number."""
    for name, value in values.items():
        if not bound <= value < float("inf"):
            raise ValueError(f"{name} must be at least {bound}, not {value}")
