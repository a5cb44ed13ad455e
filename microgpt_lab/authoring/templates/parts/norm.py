from microgpt_lab import above, hookimpl
from microgpt_lab.ops import abs, mean


class MyPart:
    """x / (mean(|x|) + eps), over the last axis, times a learnable gain. x: (…, C).

    eps: added to the mean to avoid division by 0.
    """

    name = "my_part"  # on the command line

    # Parameters after * are options, norm.eps here, each with a type and a default.
    def __init__(self, *, eps: float = 1e-5):
        above(0, eps=eps)  # other values are refused in one line
        self.eps = eps

    # What it learns: rows of numbers to start with, by name, or {}.
    def init(self, embed):
        return {"gain": [[1.0] * embed]}

    # The formula, of a tensor x and what it learns. It may use all of microgpt_lab.ops.
    def __call__(self, x, gain):
        return x / (mean(abs(x)) + self.eps) * gain


@hookimpl
def norms():
    return [MyPart]
