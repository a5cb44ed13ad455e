from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sqrt


class Adagrad:
    """w - lr g / (√s + eps), where s is the sum of all g² so far (Duchi et al., 2011).

    lr: base learning rate, which the scheduler multiplies by its factor.
    eps: added to √s to avoid division by 0.
    """

    elementwise = True

    def __init__(self, *, lr: float = 0.05, eps: float = 1e-10):
        at_least(0, eps=eps)
        self.lr, self.eps = lr, eps

    def init(self, w):
        return (w * 0.0,)

    def update(self, g, state, w, lr, step):
        s = state[0] + g * g
        return w - g * lr / (sqrt(s) + self.eps), (s,)


@hookimpl
def optimizers():
    return [Adagrad]
