from math import log2

from microgpt_lab import Position, hookimpl


class ALiBi(Position):
    """Attention with linear biases: scores[h, t, s] - mₕ (t - s) (Press et al., 2021).

    The slopes m of n heads are 2^(-8/n), 2^(-16/n), … 2^-8. If n is not a power of 2, those of the power p
    below it come first, then every other slope of 2p heads, as in the authors' code.
    scores: (…, heads, T, S).
    """

    def tables(self, gpt):
        return {"bias": [[-m * distance for m in slopes(gpt.heads)] for distance in range(gpt.block_size)]}

    def bias(self, scores, places, bias):
        return scores + bias.by_distance(places)


def slopes(heads):
    power = 2 ** int(log2(heads))
    first = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    return first if power == heads else first + slopes(2 * power)[0::2][: heads - power]


@hookimpl
def positions():
    return [ALiBi]
