from math import cos, sin

from microgpt_lab import Position, above, between, hookimpl


class RoPE(Position):
    """Rotary positions: rotate queries and keys by their place (Su et al., 2021). q, k: (…, heads, T, D).

    Numbers i and i + D/2 are a point in the plane, rotated by t base^(-2i / D) at place t. So q · k depends
    on the distance of two tokens, not on their places.

    base: larger values slow down the slower rotations. The paper's 10000 suits heads of 64 numbers and
        thousands of tokens; 100 suits heads of 4 and tens of tokens.
    partial: share of each head that is rotated, as in GPT-NeoX (Black et al., 2022).
    """

    def __init__(self, *, base: float = 100.0, partial: float = 1.0):
        above(0, base=base)
        between(0, 1, partial=partial)
        self.base, self.partial = base, partial

    def tables(self, gpt):
        rotated = round(gpt.head_dim * self.partial)
        if rotated % 2 or not rotated:
            raise ValueError(
                "the rotated part of a head must have an even number of dimensions, at least 2, not "
                f"{rotated} of {gpt.head_dim} (embed / heads, or attention.head_dim, times position.partial)"
            )
        pairs = range(rotated // 2)
        angles = [[t * self.base ** (-2 * i / rotated) for i in pairs] for t in range(gpt.block_size)]
        return {name: [[f(a) for a in row] for row in angles] for name, f in (("cos", cos), ("sin", sin))}

    def rotate(self, x, places, cos, sin):
        cos, sin, half = cos.take(places), sin.take(places), cos.shape[-1]
        a, b = x[:half], x[half : 2 * half]
        rotated = (a * cos - b * sin).concat(b * cos + a * sin)
        return rotated if 2 * half == x.shape[-1] else rotated.concat(x[2 * half :])


@hookimpl
def positions():
    return [RoPE]
