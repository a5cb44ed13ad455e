from math import log

from microgpt_lab import Position, at_least, hookimpl


class MyPart(Position):
    """scores - slope log(1 + t - s), of a query at place t and a key at s.

    It is the logarithmic bias of KERPLE (Chi et al., 2022), with a fixed slope.
    scores: (…, heads, T, S).

    slope: how fast attention falls with the distance.
    """

    name = "my_part"  # on the command line

    # Parameters after * are options, position.slope here, with a type and a default.
    def __init__(self, *, slope: float = 1.0):
        at_least(0, slope=slope)  # other values are refused in one line
        self.slope = slope

    # Fixed rows of numbers, one for each place or distance. To learn them instead,
    # declare weights(gpt): {"biases": Shape(gpt.block_size, gpt.heads, "scale")}.
    def tables(self, gpt):
        biases = [-self.slope * log(1 + distance) for distance in range(gpt.block_size)]
        return {"biases": [[bias] * gpt.heads for bias in biases]}

    # The formula: embed(x, places), rotate(x, places) or bias(scores, places), or
    # several of them. They get tables and weights by name. Rows are looked up by
    # biases.by_distance(places), or by take(places).
    def bias(self, scores, places, biases):
        return scores + biases.by_distance(places)


@hookimpl
def positions():
    return [MyPart]
