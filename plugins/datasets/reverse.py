from itertools import product
from random import Random

from microgpt_lab import between, hookimpl


def reverse(*, documents: int = 10_000, length: int = 5, letters: str = "abcdefgh"):
    """Unique random words of up to `length` letters, each with its reverse, such as bad=dab.

    The lengths share the documents equally. A length with fewer possible words contributes all of them,
    and the longer lengths share the rest. The words are drawn with a fixed seed.

    documents: maximum number of documents.
    length: maximum number of letters in a word.
    letters: the alphabet.
    """
    between(1, 1_000_000, documents=documents)
    between(1, 100, length=length)
    if not letters or len(set(letters)) < len(letters) or "=" in letters:
        raise ValueError(f"letters must be one or more distinct letters other than '=', not '{letters}'")
    rng, words = Random(0), []
    for n in range(1, length + 1):
        share = (documents - len(words)) // (length + 1 - n)
        words += distinct_words(rng, letters, n, min(share, len(letters) ** n))
    rng.shuffle(words)
    return [f"{word}={word[::-1]}" for word in words]


def distinct_words(rng, letters, length, count):
    """Draw `count` distinct words of this length."""
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
