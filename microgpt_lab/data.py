"""Documents to tokens: the vocabulary, the splits, the batches."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from microgpt_lab.errors import at_least, suggest


class Split(NamedTuple):
    train: list[str]
    validation: list[str]
    test: list[str]


def everything(documents: list[str]) -> Split:
    """All documents for training, none held out: what microgpt.py does."""
    return Split(documents, [], [])


def zero2hero(documents: list[str]) -> Split:
    """Shuffled with seed 42, then 80 % / 10 % / 10 % (Karpathy, makemore lectures, 2022)."""
    documents = list(documents)
    Random(42).shuffle(documents)
    first, second = int(0.8 * len(documents)), int(0.9 * len(documents))
    return Split(documents[:first], documents[first:second], documents[second:])


def eureka(documents: list[str]) -> Split:
    """Shuffled with seed 42: 1000 test, 1000 validate, the rest trains (EurekaLabs ngram, 2024)."""
    if len(documents) <= 2000:
        raise ValueError(
            f"split=eureka holds 2000 documents out, the data set has {len(documents)}: use zero2hero"
        )
    order = list(range(len(documents)))
    Random(42).shuffle(order)
    shuffled = [documents[i] for i in order]
    return Split(shuffled[2000:], shuffled[1000:2000], shuffled[:1000])


def makemore(documents: list[str]) -> Split:
    """PyTorch's randperm, seed 3407; the last min(1000, n // 10) validate and test (makemore.py, 2022)."""
    order = torch_randperm(len(documents), seed=3407)
    shuffled = [documents[i] for i in order]
    cut = len(documents) - min(1000, len(documents) // 10)
    return Split(shuffled[:cut], shuffled[cut:], shuffled[cut:])


def makemore_dev(documents: list[str]) -> Split:
    """Of makemore's training documents alone, the last min(1000, n // 10) validate; for choosing settings.

    What makemore holds out stays out of sight, to be looked at once with the settings chosen.
    """
    train = makemore(documents).train
    cut = len(train) - min(1000, len(train) // 10)
    return Split(train[:cut], train[cut:], [])


SPLITS: dict[str, Callable[[list[str]], Split]] = {
    "zero2hero": zero2hero,
    "eureka": eureka,
    "makemore": makemore,
    "makemore_dev": makemore_dev,
    "none": everything,
}


def torch_randperm(n: int, seed: int) -> list[int]:
    """`torch.manual_seed(seed); torch.randperm(n)`: both are the Mersenne Twister, seeded unlike Python's."""
    state = [seed & 0xFFFFFFFF]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & 0xFFFFFFFF)
    rng = Random()
    rng.setstate((3, (*state, 624), None))
    order = list(range(n))
    for i in range(n - 1):
        j = i + rng.getrandbits(32) % (n - i)
        order[i], order[j] = order[j], order[i]
    return order


class Corpus:
    """Documents, their characters as vocabulary, and a split. Of `train_docs`, so many to train on; 0 is all.

    Tokens are numbers of characters in sorted order; the last token, `bos`, stands at both ends of
    a document. `rng` shuffles the training documents and goes on to draw a trainer's weights, as
    microgpt.py's does: to compare two models fairly, give each a corpus of its own.
    """

    def __init__(
        self, documents: list[str], *, split: str = "zero2hero", train_docs: int = 0, seed: int = 42
    ):
        if not documents:
            raise ValueError("the data set is empty")
        at_least(0, train_docs=train_docs)
        if split not in SPLITS:
            raise ValueError(f"split={split} is unknown{suggest(split, SPLITS)}")
        self.chars = sorted(set("".join(documents)))
        self.bos = len(self.chars)
        self.vocab_size = self.bos + 1
        self.rng = Random(seed)
        self.train, self.validation, self.test = SPLITS[split](documents)
        if not self.train:
            raise ValueError(
                f"split={split} leaves nothing to train on: {len(documents)} documents are too few"
            )
        self.train = list(self.train)
        self.rng.shuffle(self.train)
        self.train = self.train[: train_docs or None]
        self._encoded: dict[int, list[int]] = {}
        self._ids = {char: i for i, char in enumerate(self.chars)}

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

    def batch(self, step: int, size: int) -> list[list[int]]:
        """The tokens of the documents of this step: the training documents in order, again and again."""
        start, n = step * size, len(self.train)
        return [self.train_tokens(i % n) for i in range(start, start + size)]

    def train_tokens(self, i: int) -> list[int]:
        """Those of a training document, which is encoded once."""
        if i not in self._encoded:
            self._encoded[i] = self.tokens(self.train[i])
        return self._encoded[i]


def guessing(train: list[list[int]], held_out: list[list[int]], vocab_size: int) -> dict[str, float]:
    """What counting costs on the held-out tokens, in nats a token: what a model has to beat.

    Of n-grams of the training tokens: P(c | the n - 1 before) = (count + 0.1) / (total + 0.1 V).
    """
    nats = {"uniform": math.log(vocab_size)}
    for n, name in enumerate(("unigram", "bigram", "trigram"), start=1):
        counts: Counter[tuple[int, ...]] = Counter()
        for tokens in train:
            counts.update(ngrams(tokens, n))
        totals: Counter[tuple[int, ...]] = Counter()
        for gram, count in counts.items():
            totals[gram[:-1]] += count
        grams = [gram for tokens in held_out for gram in ngrams(tokens, n)]
        odds = ((counts[g] + 0.1) / (totals[g[:-1]] + 0.1 * vocab_size) for g in grams)
        nats[name] = -math.fsum(map(math.log, odds)) / len(grams)
    return nats


def ngrams(tokens: list[int], n: int) -> list[tuple[int, ...]]:
    """Each token but the first with the n - 1 before it; the first stands before itself."""
    padded = tokens[:1] * (n - 2) + tokens if n > 1 else tokens[1:]
    return list(zip(*(padded[i:] for i in range(n)), strict=False))


def read(path: Path) -> str:
    """A text file in UTF-8."""
    try:
        return path.expanduser().read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.object[error.start]:#04x} at {error.start}"
        ) from None


def lines(path: str | Path) -> list[str]:
    """A document a line, without empty ones. Cut at newlines alone: U+2028 and others are characters."""
    return [line.strip() for line in read(Path(path)).split("\n") if line.strip()]
