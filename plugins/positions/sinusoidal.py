from math import cos, sin

from microgpt_lab import Position, above, hookimpl


class Sinusoidal(Position):
    """Add fixed sine and cosine waves to the embeddings (Vaswani et al., 2017). x: (…, T, C).

    x[t, 2i] + sin(t / base^(2i / C)) and x[t, 2i+1] + cos(t / base^(2i / C)).

    base: wavelengths are from 2π to almost 2π base tokens.
    """

    def __init__(self, *, base: float = 10000.0):
        above(0, base=base)
        self.base = base

    def tables(self, gpt):
        C = gpt.embed
        angles = [[t * self.base ** (-(i // 2 * 2) / C) for i in range(C)] for t in range(gpt.block_size)]
        return {"waves": [[cos(a) if i % 2 else sin(a) for i, a in enumerate(row)] for row in angles]}

    def embed(self, x, places, waves):
        return x + waves.take(places)


@hookimpl
def positions():
    return [Sinusoidal]
