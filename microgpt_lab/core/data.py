"""From documents to tokens: the tokenizer, the pieces that a model gets, and the batches."""

from __future__ import annotations

import functools
import hashlib
import json
from array import array
from collections.abc import Sequence
from itertools import chain
from random import Random
from typing import Literal

from microgpt_lab.core.documents import SPLITS, Documents
from microgpt_lab.core.guessing import guessing
from microgpt_lab.core.pieces import Pieces
from microgpt_lab.core.streams import COUNTED, beginning, encoded, random_windows
from microgpt_lab.core.tokenizer import Char, Tokenizer
from microgpt_lab.errors import at_least, between, suggest


class Corpus(Pieces):
    """Documents, split for training, validation and test, and the tokenizer that turns them into tokens.

    The last token, `bos`, is at both ends of a document. The tokenizer learns from the training documents,
    unless it has learned already; the default has a token for each character.

    A document is longer than the block if it has more than `block_size` tokens to predict, including its
    end. `long` is the number of such documents. `long_docs=truncate` takes their beginning, `window` takes
    one block after the other, and `error` refuses the data. Of a `Stream` of long texts, training takes
    windows of `block_size` tokens to predict at random places, whatever `long_docs` is.

    `rng` shuffles the training documents and then draws a trainer's weights, as in microgpt.py. A trainer
    advances `rng`: give each its own corpus.

    split: rule that splits the documents: zero2hero, eureka, makemore, makemore_dev, nanogpt, or none (train
        on all).
    train_docs: number of documents to train on (0: all); of a stream, hundreds of characters.
    long_docs: truncate documents that are longer than the block, cut them into windows, or refuse them.
    block_size: maximum number of tokens to predict in a document or window.
    eval_stride: number of tokens that each window of an evaluation scores, after tokens that are only its
        context (0: half of block_size).
    seed: seed of the order of the documents, the windows of a stream, the initial weights, dropout and the
        final samples.
    """

    def __init__(
        self,
        documents: Sequence[str],
        tokenizer: Tokenizer | None = None,
        *,
        split: str = "zero2hero",
        train_docs: int = 0,
        long_docs: Literal["truncate", "window", "error"] = "truncate",
        block_size: int = 16,
        eval_stride: int = 0,
        seed: int = 42,
    ):
        self.documents = documents = Documents(documents)
        if not documents:
            raise ValueError("the data set is empty")
        at_least(0, train_docs=train_docs, seed=seed)  # Random(-1) is Random(1)
        at_least(1, block_size=block_size)
        between(0, block_size, eval_stride=eval_stride)
        if split not in SPLITS:
            raise ValueError(f"split={split} is unknown{suggest(split, SPLITS)}")
        self.stream, self.long_docs, self.seed = documents.stream, long_docs, seed
        self.block_size, self.stride = block_size, eval_stride or max(1, block_size // 2)
        train, self.validation, self.test = documents.split(split)
        if not train:
            few = f"{len(documents)} document{'s are' if len(documents) > 1 else ' is'} too few"
            raise ValueError(f"split={split} leaves nothing to train on: {few}; split=none trains on all")
        train, state = documents.shuffled(split, seed)
        self.rng = Random()
        self.rng.setstate(state)
        first = beginning(train, train_docs) if self.stream else train[:train_docs]
        self.train = first if train_docs else train
        # Identify the training documents, their tokens and their pieces, whatever their order.
        self.train_key = (split, *((seed, train_docs) if train_docs else ()))
        tokenizer = tokenizer or Char()
        before = repr(vars(tokenizer))
        self.tokenizer = self.learned(tokenizer)
        self.bos = len(self.tokenizer.tokens)
        self.vocab_size = self.bos + 1
        self.tokens_key = *self.train_key, vocabulary_key(self.tokenizer, before)
        self.pieces_key = *self.tokens_key, block_size, long_docs
        self._encoded: dict[int, list[list[int]]] = {}
        if self.stream:
            self.long, self.longest = 0, block_size
            self.check_length()
        else:
            self.measure()
        if self.long and long_docs == "error":
            raise ValueError(
                f"{self.long:,} of {len(documents):,} documents have more than block_size={block_size} "
                f"tokens to predict, the longest {self.longest:,}: use long_docs=truncate or long_docs=window"
            )

    def __repr__(self) -> str:
        sizes = "/".join(f"{len(part):,}" for part in (self.train, self.validation, self.test))
        return f"Corpus({sizes} documents to train/validate/test, {self.vocab_size} tokens)"

    def held_out(self, number: int) -> list[str]:
        """Return the first validation documents (0: all); of a stream, hundreds of characters."""
        return self.first(number, self.validation)

    def first(self, number: int, documents: Sequence[str]) -> list[str]:
        """Return the first `number` of these documents (0: all); of a stream, hundreds of characters."""
        if self.stream and number:
            return beginning(documents, number)
        return list(documents[: number or None])

    def learned(self, tokenizer: Tokenizer) -> Tokenizer:
        """Let the tokenizer learn from the training documents, once in this process, if it has not yet.

        ValueError if it has learned, but cannot encode this data set.
        """
        if tokenizer.tokens:
            try:
                tokenizer.encode("".join(self.documents.chars))
            except ValueError as error:
                raise ValueError(f"the tokenizer has learned from other data: {error}") from None
            return tokenizer

        def learn() -> dict:
            tokenizer.learn(self.train, self.documents.chars)
            return tokenizer.state_dict()

        key = "tokenizer", type(tokenizer), repr(vars(tokenizer)), self.train_key
        state = self.documents.cached(key, learn)
        if not tokenizer.tokens:
            tokenizer.load_state_dict(state)
        return tokenizer

    def measure(self) -> None:
        """Set `longest`, the maximum number of tokens to predict, and `long`."""
        length, documents = self.tokenizer.length, self.documents

        def measured() -> tuple[int, int]:
            lengths = [length(document) for document in documents]
            return max(lengths) + 1, sum(n >= self.block_size for n in lengths)

        self.longest, self.long = documents.cached(("lengths", self.pieces_key), measured)

    @functools.cached_property
    def ids(self) -> array[int]:
        """The tokens of a stream's training texts, one text after the other, with `bos` around each."""
        return self.documents.cached(("ids", self.tokens_key), lambda: encoded(self.train, self.tokenizer))

    @property
    def longest_piece(self) -> list[int]:
        """The tokens of the first piece of the longest document; a window of a stream."""
        if self.stream:
            return self.ids[: self.block_size + 1].tolist()
        return self.pieces(max(self.documents, key=self.tokenizer.length))[0]

    @property
    def start(self) -> list[int]:
        """The tokens that generation starts from: `bos`, or a newline if training has seen `bos` rarely."""
        return self.encode("\n") if self.stream and "\n" in self.documents.chars else [self.bos]

    def check_length(self) -> None:
        """Raise ValueError if the training text is shorter than a window."""
        if (tokens := len(self.ids)) <= self.block_size:
            raise ValueError(
                f"block_size={self.block_size} needs a text of more than {self.block_size} tokens, but there "
                f"are {tokens:,} to train on: use a smaller block_size or a longer text"
            )

    def new(self, documents: Sequence[str]) -> list[list[bool]]:
        """Return for each piece of each document whether it differs from all training pieces.

        Compare a generated document by its first piece, because generation ends with the block. In a stream,
        a document is one piece, which is new if it occurs nowhere in the training texts.
        """
        if self.stream:
            return [[not any(document in text for text in self.train)] for document in documents]
        # Most documents are not cut. They are compared whole, because they can only equal uncut documents.
        known = set(documents).intersection(self.train)
        cut = set(filter(self.is_long, documents))
        seen = set(chain.from_iterable(map(self.texts, cut)))
        if seen:
            long = filter(self.is_long, self.train)
            seen.intersection_update(chain.from_iterable(map(self.texts, long)))
        return [
            [text not in seen for text in self.texts(document)]
            if document in cut
            else [document not in known]
            for document in documents
        ]

    def guessing(self, documents: Sequence[str], *, whole: bool = False) -> dict[str, float]:
        """Return the losses of n-gram baselines on these documents, in nats per token: see `guessing`.

        whole: count and score documents whole, even if `scored` leaves something out.
        """
        whole = whole or self.stream or self.long_docs == "window"

        def count() -> dict[str, float]:
            if self.stream:
                return guessing([self.ids[:COUNTED]], list(map(self.tokens, documents)), self.vocab_size)
            pieces = (lambda document: [self.whole_text(document)]) if whole else self.texts
            train, held_out = (list(chain.from_iterable(map(pieces, d))) for d in (self.train, documents))
            return guessing(train, held_out, self.vocab_size)

        # One tuple for all keys, because a sweep may have a key for each of thousands of seeds.
        scored = tuple(documents)
        scored = self.documents.cached(("scored", scored), lambda: scored)
        return self.documents.cached(("guessing", self.pieces_key, scored, whole), count)

    def guessing_bits(self, documents: Sequence[str]) -> dict[str, float]:
        """Return the losses of the same baselines in bits per character, as `bits_per_char` computes them."""
        tokens = sum(len(self.whole_text(document)) - 1 for document in documents)
        losses = self.guessing(documents, whole=not self.scores_all_of(documents))
        return {name: self.bits_per_char(nats * tokens, documents) for name, nats in losses.items()}

    @functools.cached_property
    def order(self) -> list[tuple[int, int]]:
        """The indices of the document and of its piece, for each position in an epoch."""
        lengths = list(map(self.tokenizer.length, self.train))
        pieces = {length: range(len(self.cut(range(length + 2)))) for length in set(lengths)}
        return [(i, piece) for i, length in enumerate(lengths) for piece in pieces[length]]

    def batch(self, step: int, size: int) -> list[list[int]]:
        """Return the tokens of a step's pieces. Each epoch takes the training documents in the same order."""
        if self.stream:
            return random_windows(self.ids, self.block_size + 1, size, f"windows {self.seed} {step}")
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


def vocabulary_key(tokenizer: Tokenizer, before: str) -> str:
    """Identify what a tokenizer does: its class, its options, and what it has learned, here or elsewhere.

    before: its attributes before it learned here, which are its options, whatever their names.
    """
    learned = json.dumps(tokenizer.state_dict(), sort_keys=True)
    return f"{type(tokenizer)} {hashlib.sha256(f'{before} {learned}'.encode()).hexdigest()}"
