from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sqrt


class Adam:
    """w - lr m̂ / (√v̂ + eps), with moving averages of g and g² (Kingma & Ba, 2014).

    m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ).

    lr: base learning rate, which the scheduler multiplies by its factor.
    beta1: decay rate of the moving average of g.
    beta2: decay rate of the moving average of g².
    eps: added to √v̂ to avoid division by 0.
    """

    elementwise = True

    def __init__(self, *, lr: float = 0.01, beta1: float = 0.85, beta2: float = 0.99, eps: float = 1e-8):
        at_least(0, below=1, beta1=beta1, beta2=beta2)
        at_least(0, eps=eps)
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps

    def init(self, w):
        return w * 0.0, w * 0.0

    def update(self, g, state, w, lr, step):
        # The state holds m / (1 - β₁) and v / (1 - β₂). The factors 1 - β and the bias corrections are
        # scalars that lr and eps take in, because the textbook's form makes four more passes over the
        # weights, which is 9 % of a step on the python backend.
        m, v = state[0] * self.beta1 + g, state[1] * self.beta2 + g * g
        m_factor = (1 - self.beta1) / (1 - self.beta1 ** (step + 1))  # m̂ = m_factor · m
        root_v_factor = ((1 - self.beta2) / (1 - self.beta2 ** (step + 1))) ** 0.5  # √v̂ = root_v_factor · √v
        return w - m * (lr * m_factor / root_v_factor) / (sqrt(v) + self.eps / root_v_factor), (m, v)


@hookimpl
def optimizers():
    return [Adam]
