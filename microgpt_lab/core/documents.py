"""The documents of a data set, and the rules that split them for training, validation and test."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable
from itertools import accumulate, chain, pairwise
from random import Random
from typing import Any, NamedTuple, TypeVar

Result = TypeVar("Result")
MAX_CACHED = 10_000_000  # documents in all cached orders, 80 MB


class Stream(list[str]):
    """Long texts, of which training takes random windows. A data set may return it instead of a list."""


class Split(NamedTuple):
    """Documents for training, validation and test: three lists, or three `Stream`s.

    A data set that brings its own split returns it. Validation and test may be empty.
    """

    train: list[str]
    validation: list[str]
    test: list[str]


def no_split(documents: list[str]) -> Split:
    """Train on all documents and hold none out, as microgpt.py does."""
    return Split(documents, [], [])


def zero2hero(documents: list[str]) -> Split:
    """Shuffle with seed 42, then split 80 % / 10 % / 10 % (Karpathy, makemore lectures, 2022)."""
    documents = list(documents)
    Random(42).shuffle(documents)
    first, second = int(0.8 * len(documents)), int(0.9 * len(documents))
    return Split(documents[:first], documents[first:second], documents[second:])


def nanogpt(documents: list[str]) -> Split:
    """Split 90 % / 10 % / 0 % in order, without shuffling (Karpathy, nanoGPT, 2022)."""
    cut = int(0.9 * len(documents))
    return Split(documents[:cut], documents[cut:], [])


def eureka(documents: list[str]) -> Split:
    """Shuffle with seed 42. Test on 1000, validate on 1000, train on the rest (EurekaLabs ngram, 2024)."""
    if len(documents) <= 2000:
        raise ValueError(
            f"split=eureka holds 2000 documents out, the data set has {len(documents)}: use zero2hero"
        )
    order = list(range(len(documents)))
    Random(42).shuffle(order)
    shuffled = [documents[i] for i in order]
    return Split(shuffled[2000:], shuffled[1000:2000], shuffled[:1000])


def makemore(documents: list[str]) -> Split:
    """Shuffle like PyTorch, seed 3407. The last min(1000, n // 10) validate and test (makemore.py, 2022)."""
    order = torch_randperm(len(documents), seed=3407)
    shuffled = [documents[i] for i in order]
    cut = len(documents) - min(1000, len(documents) // 10)
    return Split(shuffled[:cut], shuffled[cut:], shuffled[cut:])


def makemore_dev(documents: list[str]) -> Split:
    """Split makemore's training documents only. Validate on the last min(1000, n // 10).

    Choose settings with it. Makemore's held-out documents stay unused until the settings are chosen.
    """
    train = makemore(documents).train
    cut = len(train) - min(1000, len(train) // 10)
    return Split(train[:cut], train[cut:], [])


SPLITS: dict[str, Callable[[list[str]], Split]] = {
    "zero2hero": zero2hero,
    "nanogpt": nanogpt,
    "eureka": eureka,
    "makemore": makemore,
    "makemore_dev": makemore_dev,
    "none": no_split,
}
# Where the validation and test parts of a stream begin, as fractions of its characters.
CUTS = {"zero2hero": (0.8, 0.9), "nanogpt": (0.9, 1.0), "none": (1.0, 1.0)}


def split_stream(texts: list[str], name: str) -> Split:
    """Cut a stream in order, by position in characters.

    A text at a cut is divided: it ends one part and begins the next. ValueError if a part would be empty.
    """
    if name not in CUTS:
        raise ValueError(
            f"split={name} shuffles documents, but the data set is a stream: use {', '.join(CUTS)}"
        )
    length, fractions = sum(map(len, texts)), (0.0, *CUTS[name], 1.0)
    cuts = [int(fraction * length) for fraction in fractions]
    parts = [between_cuts(texts, *span) for span in pairwise(cuts)]
    if any(low < high and not part for (low, high), part in zip(pairwise(fractions), parts)):
        raise ValueError(f"split={name} cuts a stream of {length} characters into nothing: use a longer text")
    return Split(*parts)


def between_cuts(texts: list[str], low: int, high: int) -> Stream:
    """Return the texts between two positions of their concatenation, without empty ones."""
    starts = accumulate(map(len, texts), initial=0)
    parts = (text[max(0, low - start) : max(0, high - start)] for start, text in zip(starts, texts))
    return Stream(part for part in parts if part)


def torch_randperm(n: int, seed: int) -> list[int]:
    """`torch.manual_seed(seed); torch.randperm(n)`: a Mersenne Twister, seeded differently from Python's."""
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


class Documents(tuple[str, ...]):
    """The documents of a data set, with a cache of what was computed from them.

    `stream` says whether they are long texts. `sizes` is the number of training, validation and test
    documents if the data set brings its own split, which are then in this order; otherwise None.

    `Documents(documents)` returns `documents` itself if it is a `Documents` already. So jobs of a sweep
    that are forked from one process, and corpora of one notebook, share the cache. It cannot be out of
    date, because the documents cannot change.
    """

    cache: dict[Hashable, Any]
    stream: bool
    sizes: tuple[int, ...] | None

    def __new__(cls, documents: Iterable[str] | Split) -> Documents:
        if isinstance(documents, Documents):
            return documents
        if isinstance(documents, Split):
            self = super().__new__(cls, chain(*documents))
            self.sizes, first = tuple(map(len, documents)), documents.train
        else:
            self = super().__new__(cls, documents)
            self.sizes, first = None, documents
        self.stream = isinstance(first, Stream)
        self.cache = {}
        return self

    @property
    def own_split(self) -> bool:
        """Whether the data set brings its own split."""
        return self.sizes is not None

    def cached(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """Return `compute()`, which is called once per key."""
        if key not in self.cache:
            self.cache[key] = compute()
        return self.cache[key]

    @functools.cached_property
    def chars(self) -> list[str]:
        """The sorted characters of all documents."""
        return sorted(set("".join(self)))

    def split(self, name: str) -> Split:
        """Split the documents by the rule of this name, or as the data set does. ValueError says why not."""
        return self.cached(("split", name), lambda: self.make_split(name))

    def make_split(self, name: str) -> Split:
        texts = Stream(self) if self.stream else list(self)
        if self.sizes and name != "none":
            if name != "zero2hero":
                raise ValueError(f"split={name}: the data set has its own split: leave split out")
            cuts = accumulate(self.sizes, initial=0)
            return Split(*(type(texts)(texts[low:high]) for low, high in pairwise(cuts)))
        return split_stream(texts, name) if self.stream else SPLITS[name](texts)

    def shuffled(self, split: str, seed: int) -> tuple[list[str], Any]:
        """Return the training documents, shuffled with this seed, and the generator's state afterwards.

        The texts of a stream stay in order.
        """
        orders: dict[tuple[str, int], Any] = self.cached("orders", dict)
        if (split, seed) not in orders:
            train, rng = list(self.split(split).train), Random(seed)
            if not self.stream:
                rng.shuffle(train)
            if len(orders) * len(self) > MAX_CACHED:
                orders.clear()
            orders[split, seed] = train, rng.getstate()
        return orders[split, seed]


def check_returned(name: str, returned: Any) -> None:
    """Raise ValueError unless a data set returned a list of strings, a `Stream`, or a `Split` of either."""
    parts = returned if isinstance(returned, Split) else (returned,)
    if not all(isinstance(part, list) and all(isinstance(text, str) for text in part) for part in parts):
        raise ValueError(f"{name} must return a list of strings, a Stream, or a Split of either")
    if len({isinstance(part, Stream) for part in parts}) > 1:
        raise ValueError(f"{name} must return a Split of three lists or of three Streams, not of both")
    if not parts[0]:
        raise ValueError(f"{name} has no {'training ' if len(parts) > 1 else ''}documents")
    for number, text in enumerate(chain(*parts), 1):
        if not text and isinstance(parts[0], Stream):
            raise ValueError(f"{name}: text {number} is empty")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"{name}: document {number} has half of a surrogate pair, which is not a character"
            ) from None
