"""Check a sampler: complete texts, which it draws from its generator alone, as its probabilities say."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from microgpt_lab.checks.gradients import noise
from microgpt_lab.checks.small import BLOCK_SIZE, VOCAB_SIZE, random_weights, small_gpt
from microgpt_lab.core.sampler import Continuation

STOP, LENGTH, TEXTS = VOCAB_SIZE - 1, 6, 300
Rows = Sequence[list[float]]
LOGITS = noise(VOCAB_SIZE, VOCAB_SIZE, seed=7).tolist()  # of the next token, for each last token
EXTREMES = [
    [0.0] * 5,
    [-100.0] * 4 + [100.0],
    [100.0, -100.0, 0.0, 99.0, -99.0],
    [1e-9, 0.0, 0.0, 0.0, 1e-9],
]
RARE = 5  # expected draws, below which chi-square is not reliable
Z = 4.75  # of the normal distribution: one in a million is larger


class Chain:
    """A text of a Markov chain, with the interface of a `Continuation`.

    rows: the logits of the next token, for each last token.
    ends: the tokens of each text that has ended.
    """

    stop = STOP

    def __init__(self, rows: Rows, tokens: list[int], ended: bool, ends: list[list[int]]):
        self.rows, self.tokens, self.ended, self.ends = rows, tokens, ended, ends
        self.logits = list(rows[tokens[-1] if tokens else STOP])
        if ended:
            ends.append(list(tokens))

    def then(self, token: int) -> Chain:
        assert not self.ended, "goes on after the end: it calls `then` of a text that has ended"
        assert_token(token, [*range(VOCAB_SIZE)])
        tokens = [*self.tokens, *([] if token == STOP else [token])]
        return Chain(self.rows, tokens, token == STOP or len(tokens) >= LENGTH, self.ends)


def assert_complete(sampler: Any) -> None:
    """Check that it returns the tokens of a text that has ended.

    The texts are those of three Markov chains: one ends at once, one never before its length is reached.
    """
    always, never = ([[*row[:STOP], of_stop] for row in LOGITS] for of_stop in (100.0, -100.0))
    for rows in (always, never, LOGITS):
        ends: list[list[int]] = []
        for tokens in draws(sampler, Chain(rows, [], False, ends)):
            assert tokens in ends, (
                f"not complete: it returned {tokens}, but no text with these tokens has ended: return "
                "`tokens` of a text that has"
            )


def assert_repeatable(sampler: Any) -> None:
    """Check `assert_pure` for a Markov chain, and for texts of a small GPT."""
    assert_pure(sampler, Chain(LOGITS, [], False, []))
    model, stop = small_gpt(), STOP
    for length in (0, 2 * BLOCK_SIZE):
        text = Continuation(model, random_weights(model), [stop, 1], stop=stop, length=length)
        assert_pure(sampler, text, times=3)


def assert_distributions(sampler: Any) -> None:
    """Check its `probabilities`, if it has them."""
    for logits in (*EXTREMES, *LOGITS) if hasattr(sampler, "probabilities") else ():
        assert_distribution(sampler, logits)


def draws(sampler: Any, text: Any, times: int = 20) -> list[list[int]]:
    """Return the tokens that it draws from a text with a generator."""
    rng = Random(1)
    results = [list(sampler(text, rng)) for _ in range(times)]
    for token in (token for tokens in results for token in tokens):
        assert_token(token, [i for i in range(VOCAB_SIZE) if i != text.stop])
    return results


def assert_pure(sampler: Any, text: Any, times: int = 20) -> None:
    """Check that what it returns depends on the text and the generator alone, and that the text stays."""
    logits, state = list(text.logits), random.getstate()
    results = draws(sampler, text, times)
    assert random.getstate() == state, "draws from the module `random`: draw from `rng`"
    assert not text.tokens and not text.ended, "changes the text: use `then`, which returns a new one"
    assert text.logits == logits, "changes the logits of the text: make a copy"
    again = draws(sampler, text, times)
    assert again == results, "not repeatable: other tokens from an equal generator: draw from `rng` alone"


def assert_token(token: Any, allowed: list[int]) -> None:
    """Check that a token is one of these."""
    assert type(token) is int and token in allowed, f"not a token: it chose {token!r} from {allowed}"


def assert_distribution(sampler: Any, logits: list[float]) -> None:
    """Check that `probabilities` has no negative number, and a sum of 1."""
    given = list(logits)
    p = list(sampler.probabilities(given))
    assert given == logits, "probabilities changes the logits: make a copy"
    assert len(p) == len(logits), f"probabilities returned {len(p)} numbers for {len(logits)} logits"
    distribution = all(x >= 0 for x in p) and math.isclose(math.fsum(p), 1, abs_tol=1e-9)
    assert distribution, f"not a distribution: the probabilities are {p} for the logits {logits}"


def assert_draws(sampler: Any) -> None:
    """Check that tokens are drawn as often as `probabilities` says, with a chi-square test.

    Of tokens that are expected rarely, the sum is compared.
    """
    if not hasattr(sampler, "probabilities"):
        return
    rng, drawn = Random(2), defaultdict[int, Counter[int]](Counter)
    for _ in range(TEXTS):
        tokens = list(sampler(Chain(LOGITS, [], False, []), rng))
        last = [STOP] if len(tokens) < LENGTH else []  # the length may be what ended it
        for before, after in zip([STOP, *tokens], [*tokens, *last]):
            drawn[before][after] += 1
    statistic, freedom = 0.0, 0
    for before, counts in drawn.items():
        p = list(sampler.probabilities(list(LOGITS[before])))
        impossible = [token for token in counts if p[token] == 0]
        assert not impossible, f"draws token {impossible[0]}, of which probabilities says 0"
        n = counts.total()
        cells = [(counts[token], n * p[token]) for token in range(VOCAB_SIZE) if n * p[token] >= RARE]
        rest = n - sum(count for count, _ in cells), n - sum(expected for _, expected in cells)
        cells += [rest] if rest[1] >= RARE else []
        statistic += sum((count - expected) ** 2 / expected for count, expected in cells)
        freedom += max(0, len(cells) - 1)
    limit = chi_square_quantile(freedom)
    assert statistic <= limit, (
        f"draws other tokens than probabilities says: chi-square is {statistic:.0f}, and above {limit:.0f} "
        f"once in a million times, with {freedom} degrees of freedom"
    )


def chi_square_quantile(freedom: int) -> float:
    """The value that chi-square exceeds once in a million times (approximated, Wilson & Hilferty, 1931)."""
    if not freedom:
        return 1e-9
    share = 2 / (9 * freedom)
    return freedom * (1 - share + Z * share**0.5) ** 3


SAMPLER: dict[str, Callable[[Any], None]] = {
    "complete": assert_complete,
    "repeatable": assert_repeatable,
    "distribution": assert_distributions,
    "draws": assert_draws,
}
