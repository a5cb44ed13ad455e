"""Samplers: the filters and their order, a beam search as a plugin, and what `check` says of broken ones."""

import itertools
import math
import random
import re
from pathlib import Path
from random import Random
from runpy import run_path

import pytest
from broken_parts import broken_part

from microgpt_lab.checks.small import BLOCK_SIZE, random_weights
from microgpt_lab.core.sampler import Continuation, Greedy, Multinomial
from microgpt_lab.testing import check, small_gpt

STOP = 4
Beam = run_path(str(Path(__file__).parents[1] / "examples" / "beam.py"))["Beam"]


def small_text(seed=0, length=3):
    """The text [STOP] of a model with random weights, which are larger or smaller."""
    model = small_gpt()
    weights = {name: w * (0.5 + 0.25 * seed) for name, w in random_weights(model).items()}
    return Continuation(model, weights, [STOP], stop=STOP, length=length)


def log_probability(text, tokens):
    """Of all these tokens, and of the end, unless it is that of the length."""
    total = 0.0
    for token in [*tokens, STOP]:
        if not text.ended:
            total += text.logits[token] - math.log(math.fsum(map(math.exp, text.logits)))
            text = text.then(token)
    assert text.ended
    return total


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_as_wide_as_everything_finds_the_likeliest_text(seed):
    text = small_text(seed)
    every = [list(each) for n in range(4) for each in itertools.product(range(STOP), repeat=n)]
    best = max(every, key=lambda tokens: log_probability(text, tokens))
    assert Beam(width=1000)(text, Random(0)) == best


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_finds_a_text_at_least_as_likely_as_greedy(seed):
    text = small_text(seed, length=BLOCK_SIZE)
    greedy, beam = (log_probability(text, search(text, Random(0))) for search in (Greedy(), Beam()))
    assert beam >= greedy
    assert Beam(width=1)(text, Random(0)) == Greedy()(text, Random(0))


LOGITS = [math.log(p) for p in (0.1, 0.4, 0.2, 0.3)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.1, 0.4, 0.2, 0.3]),
        ({"temperature": 0.5}, [1 / 30, 16 / 30, 4 / 30, 9 / 30]),
        ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.6}, [0, 4 / 7, 0, 3 / 7]),
        ({"min_p": 0.6}, [0, 4 / 7, 0, 3 / 7]),
        # Each filter sees what the ones before it have left, normalized.
        ({"top_p": 0.5}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.5, "temperature": 0.5}, [0, 1, 0, 0]),
        ({"top_p": 0.5, "top_k": 2}, [0, 1, 0, 0]),
        ({"min_p": 0.4, "temperature": 0.5}, [0, 16 / 25, 0, 9 / 25]),
        ({"top_k": 100, "min_p": 1.0}, [0, 1, 0, 0]),
    ],
    ids=str,
)
def test_filters_are_applied_in_order(options, expected):
    assert Multinomial(**({"temperature": 1.0} | options)).probabilities(LOGITS) == pytest.approx(expected)


def test_tokens_as_likely_as_the_last_of_top_k_are_kept():
    assert (
        Multinomial(top_k=2).probabilities([1.0, 0.0, 0.0, -9.0])[1:3]
        == [pytest.approx(0.1065, abs=1e-4)] * 2
    )
    assert Multinomial(top_k=1).probabilities([0.0] * 4) == [0.25] * 4


def test_top_p_of_1_and_top_k_of_all_leave_rare_tokens():
    logits = [0.0, -50.0]
    assert Multinomial(temperature=1.0, top_k=2).probabilities(logits)[1] > 0


def test_greedy_is_multinomial_without_temperature():
    text = small_text(length=20)
    for sampler in (Multinomial(temperature=0.0), Multinomial(temperature=1e-300), Multinomial(top_k=1)):
        assert sampler(text, Random(0)) == Greedy()(text, Random(0))


def test_a_text_longer_than_the_block_goes_on_from_its_second_half():
    text = small_text(length=3 * BLOCK_SIZE)
    model, weights = text._model, text._weights
    ids = [STOP]
    while len(ids) <= BLOCK_SIZE:
        text, ids = text.then(1), [*ids, 1]
    expected = model.logits(weights, ids[-(BLOCK_SIZE // 2) :]).tolist()[-1]
    assert text.logits == pytest.approx(expected)


class Draws(Multinomial):
    """Has probabilities of its own."""

    def probabilities(self, logits):
        return super().probabilities([x * 1.5 for x in logits])

    def __call__(self, text, rng):
        return Multinomial(temperature=0.5)(text, rng)


class Never(Draws):
    """Says that it never draws some tokens."""

    def probabilities(self, logits):
        return Multinomial(top_k=1).probabilities(logits)


class Unnormalized(Multinomial):
    """Does not divide by the sum."""

    def probabilities(self, logits):
        return [math.exp(x - max(logits)) for x in logits]


class Masks(Multinomial):
    """Changes the logits of the text."""

    def __call__(self, text, rng):
        text.logits[0] = -math.inf
        return super().__call__(text, rng)


class MasksRows(Multinomial):
    """Changes the logits that it gets."""

    def __call__(self, text, rng):
        return super().__call__(text, rng)

    def probabilities(self, logits):
        logits[0] = -9.0
        return super().probabilities(logits)


class Appends:
    """Changes the text."""

    def __call__(self, text, rng):
        text.tokens.append(0)
        return Greedy()(text, rng)


class Short:
    """Returns two tokens."""

    def __call__(self, text, rng):
        return Greedy()(text, rng)[:2]


class GoesOn:
    """Does not look at the end."""

    def __call__(self, text, rng):
        for _ in range(10):
            text = text.then(text.logits.index(max(text.logits)))
        return text.tokens


class WithEnd:
    """Returns the token that ends the text, too."""

    def __call__(self, text, rng):
        return [*Greedy()(text, rng), text.stop]


class Shared:
    """Draws from the module."""

    def __call__(self, text, rng):
        while not text.ended:
            text = text.then(random.randrange(len(text.logits)))
        return text.tokens


class Own:
    """Has a generator of its own."""

    def __init__(self):
        self.rng = Random(0)

    def __call__(self, text, rng):
        return Multinomial(temperature=1.0)(text, self.rng)


class Beyond:
    """Takes a token that does not exist."""

    def __call__(self, text, rng):
        return text.then(len(text.logits)).tokens


BROKEN = [
    (Draws, "draws other tokens than probabilities says: chi-square is"),
    (Never, "draws token .*, of which probabilities says 0"),
    (Unnormalized, "not a distribution: the probabilities are"),
    (Masks, "changes the logits of the text: make a copy"),
    (MasksRows, "changes the logits"),
    (Appends, "changes the text: use `then`, which returns a new one"),
    (Short, r"not complete: it returned \[., .\], but no text with these tokens has ended"),
    (GoesOn, "goes on after the end: it calls `then` of a text that has ended"),
    (WithEnd, r"not a token: it chose 4 from \[0, 1, 2, 3\]"),
    (Shared, "draws from the module `random`: draw from `rng`"),
    (Own, "not repeatable: other tokens from an equal generator: draw from `rng` alone"),
    (Beyond, r"not a token: it chose 5 from \[0, 1, 2, 3, 4\]"),
]


@pytest.mark.parametrize(("make", "message"), BROKEN, ids=[make.__name__ for make, _ in BROKEN])
def test_a_broken_sampler_is_told_what_it_breaks(make, message):
    with pytest.raises(AssertionError) as caught:
        check(broken_part("sampler", make))
    assert re.search(message, str(caught.value)), caught.value
