from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sqrt


class RMSProp:
    """w - lr g / (√v + eps), where v ← ρ v + (1 - ρ) g² (Tieleman & Hinton, 2012).

    lr: base learning rate, which the scheduler multiplies by its factor.
    rho: ρ, decay rate of the moving average of g².
    eps: added to √v to avoid division by 0.
    """

    elementwise = True

    def __init__(self, *, lr: float = 0.003, rho: float = 0.99, eps: float = 1e-8):
        at_least(0, below=1, rho=rho)
        at_least(0, eps=eps)
        self.lr, self.rho, self.eps = lr, rho, eps

    def init(self, w):
        return (w * 0.0,)

    def update(self, g, state, w, lr, step):
        v = state[0] * self.rho + g * g * (1 - self.rho)
        return w - g * lr / (sqrt(v) + self.eps), (v,)


@hookimpl
def optimizers():
    return [RMSProp]
