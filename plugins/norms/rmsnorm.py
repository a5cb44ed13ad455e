from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import mean


class RMSNorm:
    """x / √(mean(x²) + eps), over the last axis (Zhang & Sennrich, 2019). x: (…, C).

    eps: added to the mean square to avoid division by 0.
    gain: multiply by a learnable gain of shape (1, C), which starts at 1, as in the paper.
    """

    def __init__(self, *, eps: float = 1e-5, gain: bool = False):
        at_least(0, eps=eps)
        self.eps, self.gain = eps, gain

    def init(self, embed):
        return {"gain": [[1.0] * embed]} if self.gain else {}

    def __call__(self, x, gain=None):
        x = x * (mean(x * x) + self.eps) ** -0.5
        return x if gain is None else x * gain


@hookimpl
def norms():
    return [RMSNorm]
