"""From documents to tokens: the vocabulary, the pieces that a model gets, and the batches."""

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

MAX_FILE_BYTES = 100_000_000  # a limit, because the text of a file stays in memory
END = "\ud800"  # `bos` in the text of a piece: a lone surrogate, which no document contains

Tokens = TypeVar("Tokens", list[int], str, range)


class Corpus:
    """Documents, split for training, validation and test, with their characters as vocabulary.

    A document is longer than the block if it has more than `block_size` tokens to predict, including its
    end. `long` is the number of such documents. `long_docs=truncate` takes their beginning, `window` takes
    one block after the other, and `error` refuses the data.

    A token is the index of a character in sorted order. The last token, `bos`, is at both ends of a
    document. `rng` shuffles the training documents and then draws a trainer's weights, as in microgpt.py.
    A trainer advances `rng`: give each its own corpus.

    split: rule that splits the documents: zero2hero, eureka, makemore, makemore_dev, or none (train on all).
    train_docs: number of documents to train on (0: all).
    long_docs: truncate documents that are longer than the block, cut them into windows, or refuse them.
    block_size: maximum number of tokens to predict in a document or window.
    seed: seed of the order of the documents, the initial weights, dropout and the final samples.
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
                "use long_docs=truncate or long_docs=window"
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
        # Identifies the training pieces, whatever their order.
        self.pieces_key = (split, block_size, long_docs, *((seed, train_docs) if train_docs else ()))
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
        """Encode a document, with `bos` at both ends."""
        return [self.bos, *self.encode(document), self.bos]

    def cut(self, tokens: Tokens) -> list[Tokens]:
        """Cut a document into the pieces that a model gets. It predicts all tokens of a piece but the first.

        This alone decides what is trained on, evaluated and counted as seen. A window begins with the last
        token of the window before it. `tokens` includes both ends. Because a token is a character, it may
        also be the document's text, or a range of its length.
        """
        size = self.block_size
        if self.long_docs == "window":
            return [tokens[i : i + size + 1] for i in range(0, len(tokens) - 1, size)]
        return [tokens[: size + 1]]

    def pieces(self, document: str) -> list[list[int]]:
        """Encode a document and cut it into pieces."""
        return self.cut(self.tokens(document))

    def texts(self, document: str) -> list[str]:
        """Cut a document into pieces of text, with `END` for `bos`. They are fast to make and to compare."""
        return self.cut(f"{END}{document}{END}")

    def new(self, documents: Sequence[str]) -> list[list[bool]]:
        """Return for each piece of each document whether it differs from all training pieces.

        Compare a generated document by its first piece, because generation ends with the block.
        """
        # Most documents are not cut. They are compared whole, because they can only equal uncut documents.
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
        """Return the losses of n-gram baselines on these documents, in nats per token: see `guessing`."""

        def count() -> dict[str, float]:
            train, held_out = (list(chain.from_iterable(map(self.texts, d))) for d in (self.train, documents))
            return guessing(train, held_out, self.vocab_size)

        return self.documents.cached(("guessing", self.pieces_key, tuple(documents)), count)

    @functools.cached_property
    def order(self) -> list[tuple[int, int]]:
        """The indices of the document and of its piece, for each position in an epoch."""
        lengths = [len(document) for document in self.train]
        pieces = {length: range(len(self.cut(range(length + 2)))) for length in set(lengths)}
        return [(i, piece) for i, length in enumerate(lengths) for piece in pieces[length]]

    def batch(self, step: int, size: int) -> list[list[int]]:
        """Return the tokens of a step's pieces. Each epoch takes the training documents in the same order."""
        start = step * size
        if self.long_docs != "window":  # each document has one piece
            return [self.train_tokens(i % len(self.train)) for i in range(start, start + size)]
        n = len(self.order)
        return [self.train_tokens(*self.order[i % n]) for i in range(start, start + size)]

    def train_tokens(self, i: int, piece: int = 0) -> list[int]:
        """Return the tokens of a piece of training document `i`, which is encoded once."""
        if i not in self._encoded:
            self._encoded[i] = self.pieces(self.train[i])
        return self._encoded[i][piece]


def guessing(train: Sequence[Any], held_out: Sequence[Any], vocab_size: int) -> dict[str, float]:
    """Compute the losses of the baselines on held-out pieces, in nats per token: uniform, then n-grams.

    The n-grams are counted in the training pieces, as tokens or as text:
    P(c | the n - 1 before) = (count + 0.1) / (total + 0.1 V).
    """
    seen, asked = (Counter(chain.from_iterable(map(trigrams, pieces))) for pieces in (train, held_out))
    losses = {"uniform": math.log(vocab_size)}
    for start, name in ((2, "unigram"), (1, "bigram"), (0, "trigram")):
        counts: Counter[tuple] = Counter()
        totals: Counter[tuple] = Counter()
        for gram, count in seen.items():
            counts[gram[start:]] += count
            totals[gram[start:-1]] += count
        losses[name] = (
            -math.fsum(
                count * math.log((counts[gram[start:]] + 0.1) / (totals[gram[start:-1]] + 0.1 * vocab_size))
                for gram, count in asked.items()
            )
            / asked.total()
        )
    return losses


def trigrams(tokens: list[int] | str) -> Iterable[tuple]:
    """Yield the trigram that ends at each token but the first. The first token is repeated in front."""
    return zip((tokens[0], *tokens), tokens, tokens[1:], strict=False)


def read(path: Path) -> str:
    """Read UTF-8 text of at most 100 MB from a file or a pipe.

    A byte order mark is removed, and Windows line ends become newlines.
    """
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{path} is larger than {MAX_FILE_BYTES // 10**6} MB: take a part of it")
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
    """Read a document per line, stripped of spaces and tabs.

    Empty lines are skipped. Only newlines end a line: U+2028 and the like are characters.
    """
    stripped = (line.strip(" \t") for line in read(Path(path)).split("\n"))
    return [line for line in stripped if line]
