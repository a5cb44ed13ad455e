"""Errors that a user can correct: one line with what is wrong, where, and what to do instead."""

from __future__ import annotations

import difflib
import errno
import math
import sys
from collections.abc import Iterable, Mapping

NEAR = 0.7  # smallest similarity of a typo: 'gleu' and 'gelu' 0.75, but 'position' and 'activation' 0.56
JOINERS = "\u200c\u200d"  # invisible characters that some scripts need

# A full disk, an exceeded quota or limit, a read-only folder, too many open files, a failed or missing disk.
STORAGE_ERRNOS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
)
STORAGE_ERRNOS += (errno.ENFILE, errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ENOTCONN)


class UserError(Exception):
    """An error that the command line prints in one line, without a traceback.

    `status` is the program's exit status.
    """

    status = 2

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython and notebooks show instead of a traceback."""
        return [f"error: {printable(str(self))}"]


class StorageError(UserError):
    """The machine cannot store a file: a full disk, a read-only folder, too many open files."""

    status = 1


class Changed(UserError):
    """A run cannot resume exactly: its checkpoint is damaged, or its code, data or packages have changed."""


class Busy(UserError):
    """Another process is using the same folder."""


class OutOfRange(ValueError):
    """The value of an option is outside the range that its formula or a size limit allows."""


def printable(text: str) -> str:
    """Escape the characters of a text that control a terminal or change the writing direction.

    >>> printable("a\x1b[2J")
    'a\\\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in JOINERS else char.encode("unicode_escape").decode()
        for char in text
    )


def nearest(word: str, words: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """Return the word that was probably meant: by synonym, else by similar spelling; None if no word is."""
    words, word = list(words), word.lower()
    if (name := (synonyms or {}).get(word)) in words:
        return name
    return next(iter(difflib.get_close_matches(word, words, n=1, cutoff=NEAR)), None)


def suggest(word: str, words: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """Return the end of an error message: '; did you mean 'gelu'?' or '; choose from gelu, relu'.

    Without a similar word, it lists all words, because a wrong hint misleads.
    """
    words = sorted(words)
    near = nearest(word, words, synonyms)
    if near:
        return f"; did you mean '{near}'?"
    return f"; choose from {', '.join(words)}" if words else "; there are none"


def at_least(low: float, /, *, below: float = math.inf, **values: float) -> None:
    """Raise OutOfRange for the first value that is smaller than `low`, not below `below`, or not finite.

    >>> at_least(0, below=1, beta1=0.9)
    """
    for name, value in values.items():
        if not low <= value < below:
            end = f" and below {below}" if below < math.inf else ""
            raise OutOfRange(f"{name} must be at least {low}{end}, not {value}")


def above(low: float, /, *, at_most: float | None = None, **values: float) -> None:
    """Raise OutOfRange for the first value that is not above `low`, larger than `at_most`, or not finite.

    >>> above(0, at_most=1, gamma=0.1)
    """
    high = sys.float_info.max if at_most is None else at_most
    for name, value in values.items():
        if not low < value <= high:
            end = "" if at_most is None else f" and at most {at_most:,}"
            raise OutOfRange(f"{name} must be above {low}{end}, not {value}")


def between(low: float, high: float, /, **values: float) -> None:
    """Raise OutOfRange for the first value that is not from `low` to `high`, both included.

    >>> between(0, 1, warmup=0.1)
    """
    for name, value in values.items():
        if not low <= value <= high:
            raise OutOfRange(f"{name} must be from {low} to {high:,}, not {value}")
