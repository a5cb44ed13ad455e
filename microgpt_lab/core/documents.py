"""Documents of a data set, and their split into training, validation and test."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable
from random import Random
from typing import Any, NamedTuple, TypeVar

Result = TypeVar("Result")
MOST_NUMBERS = 10_000_000  # places of documents in the orders that are kept: 80 MB


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


class Documents(tuple[str, ...]):
    """Documents of a data set, which do not change, with what has been computed of them.

    Made of `Documents`, it is the same object: jobs of a sweep that are forked from one process, and
    corpora of one notebook, share what the first of them has computed. Nothing of it can be out of
    date, because the text that it was computed of cannot change.
    """

    known: dict[Hashable, Any]

    def __new__(cls, documents: Iterable[str]) -> Documents:
        if isinstance(documents, Documents):
            return documents
        self = super().__new__(cls, documents)
        self.known = {}
        return self

    def cached(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """Return what `compute` returned at the first call for this key."""
        if key not in self.known:
            self.known[key] = compute()
        return self.known[key]

    @functools.cached_property
    def chars(self) -> list[str]:
        """Their characters, sorted."""
        return sorted(set("".join(self)))

    @functools.cached_property
    def longest(self) -> str:
        """The first of the longest documents."""
        return max(self, key=len)

    def split(self, name: str) -> Split:
        return self.cached(("split", name), lambda: SPLITS[name](list(self)))

    def shuffled(self, split: str, seed: int) -> tuple[list[str], Any]:
        """The training documents in the order of this seed, and the generator's state after that."""
        orders: dict[tuple[str, int], Any] = self.cached("orders", dict)
        if (split, seed) not in orders:
            train, rng = list(self.split(split).train), Random(seed)
            rng.shuffle(train)
            if len(orders) * len(self) > MOST_NUMBERS:
                orders.clear()
            orders[split, seed] = train, rng.getstate()
        return orders[split, seed]
