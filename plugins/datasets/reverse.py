from itertools import product
from random import Random

from microgpt_lab import between, hookimpl


def reverse(*, documents: int = 10_000, length: int = 5, letters: str = "abcdefgh"):
    """Words of up to so many letters and the same backwards, such as bad=dab, each once.

    At most so many `documents`, of each length as many as of any other; where there are fewer words
    of a length, all of them. Drawn with a fixed seed.

    documents: how many there are at most.
    length: most letters of a word.
    letters: the alphabet.
    """
    between(1, 1_000_000, documents=documents)
    between(1, 100, length=length)
    if not letters or len(set(letters)) < len(letters) or "=" in letters:
        raise ValueError(f"letters must be different ones, without '=', not '{letters}'")
    rng, words = Random(0), []
    for n in range(1, length + 1):
        share = (documents - len(words)) // (length + 1 - n)
        words += different(rng, letters, n, min(share, len(letters) ** n))
    rng.shuffle(words)
    return [f"{word}={word[::-1]}" for word in words]


def different(rng, letters, length, count):
    """So many different words of this length."""
    if 2 * count > len(letters) ** length:
        return rng.sample(["".join(word) for word in product(letters, repeat=length)], count)
    words = {}
    while len(words) < count:
        words["".join(rng.choices(letters, k=length))] = None
    return list(words)


reverse.answer_after = "="


@hookimpl
def datasets():
    return [reverse]
