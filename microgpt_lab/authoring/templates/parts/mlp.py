from microgpt_lab import Linear, above, hookimpl
from microgpt_lab.ops import maximum


class MyPart:
    """max(x Aᵀ, x Bᵀ) Dᵀ: maxout (Goodfellow et al., 2013). x: (…, T, C).

    ratio: width of the hidden layer / embed; 8/3 makes as many parameters as an MLP
        of ratio 4.
    """

    name = "my_part"  # on the command line

    # Parameters after * are options, mlp.ratio here, each with a type and a default.
    def __init__(self, *, ratio: float = 8 / 3):
        above(0, ratio=ratio)  # other values are refused in one line
        self.ratio = ratio

    # What it learns: linear layers (out, in), of which the one that makes the output is
    # "residual". Rows of numbers, such as [[1.0] * C], are a weight to start with.
    def weights(self, gpt):
        C, hidden = gpt.embed, max(1, round(gpt.embed * self.ratio))
        down = Linear(C, hidden, "residual")
        return {"a": Linear(hidden, C), "b": Linear(hidden, C), "down": down}

    # The formula, of a tensor x and the weights by name. It may use all of
    # microgpt_lab.ops, and the run's activation, at.gpt.activation(x).
    def __call__(self, x, at, a, b, down):
        return down(maximum(a(x), b(x)))


@hookimpl
def mlps():
    return [MyPart]
