from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import mean


class LayerNorm:
    """(x - mean(x)) / √(var(x) + eps), over the last axis (Ba et al., 2016). x: (…, C).

    eps: added to the variance to avoid division by 0.
    gain: multiply by a learnable gain of shape (1, C), which starts at 1.
    bias: add a learnable bias of shape (1, C), which starts at 0.
    """

    def __init__(self, *, eps: float = 1e-5, gain: bool = False, bias: bool = False):
        at_least(0, eps=eps)
        self.eps, self.gain, self.bias = eps, gain, bias

    def init(self, embed):
        gain = {"gain": [[1.0] * embed]} if self.gain else {}
        return gain | ({"bias": [[0.0] * embed]} if self.bias else {})

    def __call__(self, x, gain=None, bias=None):
        x = x - mean(x)
        x = x * (mean(x * x) + self.eps) ** -0.5
        x = x if gain is None else x * gain
        return x if bias is None else x + bias


@hookimpl
def norms():
    return [LayerNorm]
