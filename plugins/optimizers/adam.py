from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sqrt


class Adam:
    """w - lr m̂ / (√v̂ + eps), from running means of g and g² (Kingma & Ba, 2014).

    m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ).

    lr: learning rate, which the scheduler multiplies.
    beta1: how much of the mean of g a step keeps.
    beta2: how much of the mean of g² a step keeps.
    eps: added to √v̂, so that nothing is divided by 0.
    """

    elementwise = True

    def __init__(self, *, lr: float = 0.01, beta1: float = 0.85, beta2: float = 0.99, eps: float = 1e-8):
        at_least(0, below=1, beta1=beta1, beta2=beta2)
        at_least(0, eps=eps)
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps

    def init(self, w):
        return w * 0.0, w * 0.0

    def update(self, g, state, w, lr, step):
        # The state is m / (1 - β₁) and v / (1 - β₂); the factors go into the constants, which
        # costs two products a weight less.
        m, v = state[0] * self.beta1 + g, state[1] * self.beta2 + g * g
        to_m = (1 - self.beta1) / (1 - self.beta1 ** (step + 1))
        to_v = ((1 - self.beta2) / (1 - self.beta2 ** (step + 1))) ** 0.5
        return w - m * (lr * to_m / to_v) / (sqrt(v) + self.eps / to_v), (m, v)


@hookimpl
def optimizers():
    return [Adam]
