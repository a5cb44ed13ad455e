"""The documents of a data set, and the rules that split them for training, validation and test."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable
from random import Random
from typing import Any, NamedTuple, TypeVar

Result = TypeVar("Result")
MAX_CACHED = 10_000_000  # documents in all cached orders, 80 MB


class Split(NamedTuple):
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
    "eureka": eureka,
    "makemore": makemore,
    "makemore_dev": makemore_dev,
    "none": no_split,
}


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

    `Documents(documents)` returns `documents` itself if it is a `Documents` already. So jobs of a sweep
    that are forked from one process, and corpora of one notebook, share the cache. It cannot be out of
    date, because the documents cannot change.
    """

    cache: dict[Hashable, Any]

    def __new__(cls, documents: Iterable[str]) -> Documents:
        if isinstance(documents, Documents):
            return documents
        self = super().__new__(cls, documents)
        self.cache = {}
        return self

    def cached(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """Return `compute()`, which is called once per key."""
        if key not in self.cache:
            self.cache[key] = compute()
        return self.cache[key]

    @functools.cached_property
    def chars(self) -> list[str]:
        """The sorted characters of all documents."""
        return sorted(set("".join(self)))

    @functools.cached_property
    def longest(self) -> str:
        """The first of the longest documents."""
        return max(self, key=len)

    def split(self, name: str) -> Split:
        return self.cached(("split", name), lambda: SPLITS[name](list(self)))

    def shuffled(self, split: str, seed: int) -> tuple[list[str], Any]:
        """Return the training documents, shuffled with this seed, and the generator's state afterwards."""
        orders: dict[tuple[str, int], Any] = self.cached("orders", dict)
        if (split, seed) not in orders:
            train, rng = list(self.split(split).train), Random(seed)
            rng.shuffle(train)
            if len(orders) * len(self) > MAX_CACHED:
                orders.clear()
            orders[split, seed] = train, rng.getstate()
        return orders[split, seed]
