from microgpt_lab import above, hookimpl
from microgpt_lab.ops import tanh


class DyT:
    """g tanh(a x) + b: dynamic tanh, which replaces a norm (Zhu et al., 2025). x: (…, C).

    a is a learnable scalar. g and b are learnable, of shape (1, C), and start at 1 and 0.

    alpha: initial value of the learnable scalar a.
    affine: use a learnable gain g and a learnable bias b.
    """

    def __init__(self, *, alpha: float = 0.5, affine: bool = True):
        above(0, alpha=alpha)
        self.alpha, self.affine = alpha, affine

    def init(self, embed):
        affine = {"gain": [[1.0] * embed], "bias": [[0.0] * embed]} if self.affine else {}
        return {"alpha": [[self.alpha]]} | affine

    def __call__(self, x, alpha, gain=None, bias=None):
        x = tanh(x * alpha)
        return x if gain is None else x * gain + bias


@hookimpl
def norms():
    return [DyT]
