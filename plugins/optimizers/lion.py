from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import where


class Lion:
    """w - lr (sign(β₁ m + (1 - β₁) g) + weight_decay w), then m ← β₂ m + (1 - β₂) g (Chen et al., 2023).

    lr: base learning rate, which the scheduler multiplies by its factor.
    beta1: weight of m in the direction of the step. The weight of g is 1 - beta1.
    beta2: decay rate of the moving average m.
    weight_decay: strength of the decay: each step multiplies the weights by 1 - lr · weight_decay.
    """

    elementwise = True

    def __init__(
        self, *, lr: float = 0.002, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0
    ):
        at_least(0, below=1, beta1=beta1, beta2=beta2)
        at_least(0, weight_decay=weight_decay)
        self.lr, self.beta1, self.beta2, self.weight_decay = lr, beta1, beta2, weight_decay

    def init(self, w):
        return (w * 0.0,)

    def update(self, g, state, w, lr, step):
        (m,) = state
        c = m * self.beta1 + g * (1 - self.beta1)
        sign = where(c > 0, 1.0, where(c < 0, -1.0, 0.0))
        return w * (1 - lr * self.weight_decay) - sign * lr, (m * self.beta2 + g * (1 - self.beta2),)


@hookimpl
def optimizers():
    return [Lion]
