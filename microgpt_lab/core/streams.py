"""Streams: long texts, of which training takes windows at random places."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from random import Random

from microgpt_lab.core.tokenizer import Tokenizer

HUNDRED = 100  # characters of a stream that count as a document
COUNTED = 10_000_000  # tokens of a stream in which n-grams are counted
CHUNK = 1_000_000  # characters of a stream that are encoded in one call


def beginning(texts: Sequence[str], number: int) -> list[str]:
    """Return the first `number` hundreds of characters of texts."""
    room, first = number * HUNDRED, []
    for text in texts:
        if room > 0:
            first.append(text[:room])
        room -= len(text)
    return first


def encoded(texts: Sequence[str], tokenizer: Tokenizer) -> array[int]:
    """Return the tokens of texts, one text after the other, with the token of a document's end around each.

    They are 2 or 4 bytes each, where those of a list would take 8 or more.
    """
    bos = len(tokenizer.tokens)
    ids = array("H" if bos < 2**16 else "I", [bos])
    for text in texts:
        for chunk in chunks(text):
            ids.extend(tokenizer.encode(chunk))
        ids.append(bos)
    return ids


def chunks(text: str) -> Iterator[str]:
    """Cut a long text at newlines, because encoding it in one call would take 8 bytes or more a token."""
    start = 0
    while start < len(text):
        stop = text.find("\n", start + CHUNK) + 1 or len(text)
        yield text[start:stop]
        start = stop


def random_windows(ids: array[int], length: int, number: int, key: str) -> list[list[int]]:
    """Return windows of `length` tokens that begin anywhere, drawn by a generator with this seed."""
    rng, starts = Random(key), len(ids) - length + 1
    return [ids[start : start + length].tolist() for start in (rng.randrange(starts) for _ in range(number))]
