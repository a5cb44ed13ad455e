"""Documents to tokens: the vocabulary, the splits, the batches."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, compress
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeVar

from microgpt_lab.core.documents import SPLITS, Documents
from microgpt_lab.errors import at_least, suggest

LARGEST = 100_000_000  # bytes of a file: what is read stays in memory
END = "\ud800"  # `bos` in the text of a piece: half a character, which no document has

Tokens = TypeVar("Tokens", list[int], str, range)


class Corpus:
    """Documents, their characters as vocabulary, and a split.

    Of a document that is longer than the block (with its end, more than `block_size` tokens to
    predict), `long_docs=truncate` takes the beginning, `window` one block after the other, and
    `error` refuses the data; `long` counts them.

    Tokens are numbers of characters in sorted order; the last token, `bos`, stands at both ends of
    a document. `rng` shuffles the training documents and goes on to draw a trainer's weights, as
    microgpt.py's does: to compare two models fairly, give each a corpus of its own.

    split: rule that divides the documents: zero2hero, eureka, makemore, makemore_dev, or none (train on all).
    train_docs: train on so many documents only (0: on all).
    long_docs: cut documents that are longer than the block, take them window by window, or refuse them.
    block_size: tokens to predict in a document, or in a window of it.
    seed: seed of the documents' order, the first weights, dropout and the samples at the end.
    """

    def __init__(
        self,
        documents: Sequence[str],
        *,
        split: str = "zero2hero",
        train_docs: int = 0,
        long_docs: Literal["truncate", "window", "error"] = "truncate",
        block_size: int = 16,
        seed: int = 42,
    ):
        self.documents = documents = Documents(documents)
        if not documents:
            raise ValueError("the data set is empty")
        at_least(0, train_docs=train_docs, seed=seed)  # Random(-1) is Random(1)
        at_least(1, block_size=block_size)
        self.long_docs, self.block_size = long_docs, block_size
        self.longest = len(documents.longest) + 1  # tokens to predict
        self.long = documents.cached(
            ("long", block_size), lambda: sum(len(d) >= block_size for d in documents)
        )
        if self.long and long_docs == "error":
            raise ValueError(
                f"{self.long:,} of {len(documents):,} documents are longer than block_size - 1 = "
                f"{block_size - 1} characters, the longest {self.longest - 1:,}: "
                "long_docs=truncate, or window"
            )
        if split not in SPLITS:
            raise ValueError(f"split={split} is unknown{suggest(split, SPLITS)}")
        self.chars = documents.chars
        self.bos = len(self.chars)
        self.vocab_size = self.bos + 1
        self.rng = Random()
        train, self.validation, self.test = documents.split(split)
        if not train:
            raise ValueError(
                f"split={split} leaves nothing to train on: {len(documents)} documents are too few"
            )
        train, state = documents.shuffled(split, seed)
        self.rng.setstate(state)
        self.train = train[: train_docs or None]
        # Which pieces there are to train on, in whatever order.
        self.kind = (split, block_size, long_docs, *((seed, train_docs) if train_docs else ()))
        self._encoded: dict[int, list[list[int]]] = {}
        self._ids = {char: i for i, char in enumerate(self.chars)}

    def __repr__(self) -> str:
        sizes = "/".join(f"{len(part):,}" for part in (self.train, self.validation, self.test))
        return f"Corpus({sizes} documents to train/validate/test, {self.vocab_size} tokens)"

    def encode(self, text: str) -> list[int]:
        try:
            return [self._ids[char] for char in text]
        except KeyError:
            unknown = sorted(set(text) - set(self._ids))
            raise ValueError(f"not in the vocabulary: {' '.join(map(repr, unknown))}") from None

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.chars[i] for i in ids)

    def tokens(self, document: str) -> list[int]:
        """The document between two `bos`."""
        return [self.bos, *self.encode(document), self.bos]

    def cut(self, tokens: Tokens) -> list[Tokens]:
        """The pieces of a document that a model is given, with what it predicts: of each, all but the first.

        The only place that decides what is trained on, evaluated and counted as seen. In windows, each
        piece begins with the token that the one before it ends with. `tokens` has both ends; since a
        token is a character, it may be the document's text, or a range of its length.
        """
        size = self.block_size
        if self.long_docs == "window":
            return [tokens[i : i + size + 1] for i in range(0, len(tokens) - 1, size)]
        return [tokens[: size + 1]]

    def pieces(self, document: str) -> list[list[int]]:
        return self.cut(self.tokens(document))

    def texts(self, document: str) -> list[str]:
        """Its pieces as text, with `END` for `bos`: quick to make and to compare."""
        return self.cut(f"{END}{document}{END}")

    def new(self, documents: Sequence[str]) -> list[list[bool]]:
        """For each piece of each document, whether it differs from all pieces of the training documents.

        What a model has generated is compared by its first piece: it ends where the block does.
        """
        # Documents that are not cut, which are most, are compared as they stand: they can only equal such.
        known = set(documents).intersection(self.train)
        cut = {document for document in documents if len(document) >= self.block_size}
        seen = set(chain.from_iterable(map(self.texts, cut)))
        if seen:
            long = compress(self.train, map(self.block_size.__le__, map(len, self.train)))
            seen.intersection_update(chain.from_iterable(map(self.texts, long)))
        return [
            [text not in seen for text in self.texts(document)]
            if document in cut
            else [document not in known]
            for document in documents
        ]

    def guessing(self, documents: Sequence[str]) -> dict[str, float]:
        """Return what n-grams of the training documents cost on these, in nats per token: see `guessing`."""

        def count() -> dict[str, float]:
            train, asked = (list(chain.from_iterable(map(self.texts, d))) for d in (self.train, documents))
            return guessing(train, asked, self.vocab_size)

        return self.documents.cached(("guessing", self.kind, tuple(documents)), count)

    @functools.cached_property
    def order(self) -> list[tuple[int, int]]:
        """The training document and the piece of it that each place of an epoch takes."""
        lengths = [len(document) for document in self.train]
        pieces = {length: range(len(self.cut(range(length + 2)))) for length in set(lengths)}
        return [(i, piece) for i, length in enumerate(lengths) for piece in pieces[length]]

    def batch(self, step: int, size: int) -> list[list[int]]:
        """The tokens of the documents of this step: the training documents in order, again and again."""
        start = step * size
        if self.long_docs != "window":  # a document is a piece
            return [self.train_tokens(i % len(self.train)) for i in range(start, start + size)]
        n = len(self.order)
        return [self.train_tokens(*self.order[i % n]) for i in range(start, start + size)]

    def train_tokens(self, i: int, piece: int = 0) -> list[int]:
        """Those of a training document, which is encoded once."""
        if i not in self._encoded:
            self._encoded[i] = self.pieces(self.train[i])
        return self._encoded[i][piece]


def guessing(train: Sequence[Any], held_out: Sequence[Any], vocab_size: int) -> dict[str, float]:
    """What counting costs on the held-out pieces, in nats per token: what a model has to beat.

    Of n-grams of the training pieces, as tokens or as text:
    P(c | the n - 1 before) = (count + 0.1) / (total + 0.1 V).
    """
    seen, asked = (Counter(chain.from_iterable(map(trigrams, some))) for some in (train, held_out))
    nats = {"uniform": math.log(vocab_size)}
    for first, name in ((2, "unigram"), (1, "bigram"), (0, "trigram")):
        counts: Counter[tuple] = Counter()
        totals: Counter[tuple] = Counter()
        for gram, count in seen.items():
            counts[gram[first:]] += count
            totals[gram[first:-1]] += count
        nats[name] = (
            -math.fsum(
                count * math.log((counts[gram[first:]] + 0.1) / (totals[gram[first:-1]] + 0.1 * vocab_size))
                for gram, count in asked.items()
            )
            / asked.total()
        )
    return nats


def trigrams(tokens: list[int] | str) -> Iterable[tuple]:
    """Each token but the first with the two before it; the first stands before itself."""
    return zip((tokens[0], *tokens), tokens, tokens[1:], strict=False)


def read(path: Path) -> str:
    """A text file in UTF-8, or what a pipe gives; of at most 100 MB.

    A byte order mark is taken away, and Windows' line ends become newlines.
    """
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > LARGEST:
        raise ValueError(f"{path} is larger than {LARGEST // 10**6} MB: take a part of it")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path} is UTF-16: convert it to UTF-8")
    try:
        if (nul := content.find(0)) >= 0:
            raise UnicodeDecodeError("utf-8", content, nul, nul + 1, "binary")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, byte = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        what = "is binary" if error.reason == "binary" else "is not UTF-8"
        raise ValueError(f"{path} {what}: line {line}, byte {byte} is {content[error.start]:#04x}") from None


def lines(path: str | Path) -> list[str]:
    """A document a line, without empty ones. Cut at newlines, freed of spaces and tabs around: U+2028 and
    others are characters.
    """
    stripped = (line.strip(" \t") for line in read(Path(path)).split("\n"))
    return [line for line in stripped if line]
