from random import Random

from microgpt_lab import hookimpl


def reverse(*, documents: int = 10000, length: int = 5, letters: str = "abcdefgh"):
    """A word of up to so many letters and the same backwards, such as bad=dab; drawn with a fixed seed."""
    if not letters or length < 1:
        raise ValueError("there must be letters, and a length of at least 1")
    rng = Random(0)
    words = ("".join(rng.choices(letters, k=rng.randint(1, length))) for _ in range(documents))
    return [f"{word}={word[::-1]}" for word in words]


reverse.answer_after = "="


@hookimpl
def datasets():
    return [reverse]
