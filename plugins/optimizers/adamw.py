from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sqrt


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2017).

    w (1 - lr weight_decay) - lr m̂ / (√v̂ + eps), with m̂ and v̂ as in Adam.

    lr: learning rate, which the scheduler multiplies.
    beta1: how much of the mean of g a step keeps.
    beta2: how much of the mean of g² a step keeps.
    eps: added to √v̂, so that nothing is divided by 0.
    weight_decay: share of the weight, times lr, that each step takes away.
    """

    elementwise = True

    def __init__(
        self,
        *,
        lr: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        at_least(0, below=1, beta1=beta1, beta2=beta2)
        at_least(0, eps=eps, weight_decay=weight_decay)
        self.lr, self.beta1, self.beta2, self.eps, self.weight_decay = lr, beta1, beta2, eps, weight_decay

    def init(self, w):
        return w * 0.0, w * 0.0

    def update(self, g, state, w, lr, step):
        m = state[0] * self.beta1 + g * (1 - self.beta1)
        v = state[1] * self.beta2 + g * g * (1 - self.beta2)
        m_hat, v_hat = m / (1 - self.beta1 ** (step + 1)), v / (1 - self.beta2 ** (step + 1))
        return w * (1 - lr * self.weight_decay) - m_hat * lr / (sqrt(v_hat) + self.eps), (m, v)


@hookimpl
def optimizers():
    return [AdamW]
