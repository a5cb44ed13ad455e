"""Places of tokens in a document, and tables of constants for each place or distance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


class Table(tuple):
    """Rows of numbers that are not trained.

    Two tables are equal only if they are the same object, so that a backend can cache its own form of one.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    def __new__(cls, rows: Iterable[Iterable[float]]) -> Table:
        return super().__new__(cls, (tuple(map(float, row)) for row in rows))

    def __eq__(self, other: object) -> bool:
        return self is other


class Places:
    """The places of consecutive tokens, from `start` up to `stop` (exclusive).

    A part passes them to `take` and `by_distance`. They are not a sequence: a backend may compile a step
    once for all lengths, and the length is then unknown.
    """

    __slots__ = ("start", "stop")

    def __init__(self, start: int, stop: int):
        self.start, self.stop = start, stop

    def __repr__(self) -> str:
        return f"Places({self.start}, {self.stop})"

    def __iter__(self) -> Iterator[int]:
        raise TypeError(
            "places cannot be iterated: declare tables(gpt) with a row for each place, and take(places)"
        )


def indices(ids: Sequence[int] | Places) -> Sequence[int]:
    """Return places as a range, and anything else unchanged."""
    return range(ids.start, ids.stop) if isinstance(ids, Places) else ids
