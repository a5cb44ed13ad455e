from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sqrt


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2017).

    w (1 - lr · weight_decay) - lr m̂ / (√v̂ + eps), with m̂ and v̂ as in Adam.

    lr: base learning rate, which the scheduler multiplies by its factor.
    beta1: decay rate of the moving average of g.
    beta2: decay rate of the moving average of g².
    eps: added to √v̂ to avoid division by 0.
    weight_decay: strength of the decay, because each step multiplies the weights by 1 - lr · weight_decay.
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
