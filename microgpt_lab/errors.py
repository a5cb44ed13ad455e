"""What a user did wrong, in one line: what, where, what to do instead."""

from __future__ import annotations

import difflib
import errno
import math
import sys
from collections.abc import Callable, Iterable, Mapping

NEAR = 0.7  # how alike a misspelling is: 'gleu' is 0.75 like 'gelu', 'position' 0.56 like 'activation'
JOINERS = "\u200c\u200d"  # some scripts are written with them

# A full disk, a quota or limit, a read-only folder, too many open files, a broken disk, one that is gone.
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
    """Printed without a traceback; the program ends with this status."""

    status = 2


class StorageError(UserError):
    """The machine takes no more: a full disk, a read-only folder, too many open files."""

    status = 1


class Changed(UserError):
    """A run would not go on as it began: its checkpoint is damaged, or what it was made with is another."""


class Busy(UserError):
    """Another process is at work there."""


class OutOfRange(ValueError):
    """An option has a value for which its formula has no meaning, or a size beyond the limit."""


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


def nearest(word: str, words: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """The one of the words that is meant: what its synonym is called here, or what is spelled nearly so."""
    words, word = list(words), word.lower()
    if (known := (synonyms or {}).get(word)) in words:
        return known
    return next(iter(difflib.get_close_matches(word, words, n=1, cutoff=NEAR)), None)


def suggest(word: str, words: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """'; did you mean X?' if one of the words is near, else '; there is …'.

    Without a near match, all words are listed, because a wrong hint misleads.
    """
    words = sorted(words)
    near = nearest(word, words, synonyms)
    return f"; did you mean '{near}'?" if near else f"; there is {', '.join(words) or 'none'}"


def at_least(low: float, /, *, below: float = math.inf, **values: float) -> None:
    """OutOfRange for the first of the values that is smaller, or not below the other bound, or no number.

    >>> at_least(0, below=1, beta1=0.9)
    """
    end = f" and below {below}" if below < math.inf else ""
    require(lambda value: low <= value < below, f"at least {low}{end}", values)


def above(low: float, /, *, at_most: float | None = None, **values: float) -> None:
    """OutOfRange for the first of the values that is not above `low`, beyond the other bound, or infinite.

    >>> above(0, at_most=1, gamma=0.1)
    """
    high, end = (sys.float_info.max, "") if at_most is None else (at_most, f" and at most {at_most:,}")
    require(lambda value: low < value <= high, f"above {low}{end}", values)


def between(low: float, high: float, /, **values: float) -> None:
    """OutOfRange for the first of the values that is not from `low` to `high`, both included.

    >>> between(0, 1, warmup=0.1)
    """
    require(lambda value: low <= value <= high, f"from {low} to {high:,}", values)


def require(good: Callable[[float], bool], range_: str, values: dict[str, float]) -> None:
    for name, value in values.items():
        if not good(value):
            raise OutOfRange(f"{name} must be {range_}, not {value}")
