from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sqrt


class Muon:
    """Momentum, orthogonalized, for matrices; Adam for the rest (Jordan et al., 2024).

    Of u = g + μ v, v ← μ v + g, a step takes nearly U Vᵀ where u = U S Vᵀ, found by five rounds of
    the quintic Newton-Schulz iteration, times √max(1, out / in). Weights with a single row or
    column (gains, biases) take Adam's step with `adam_lr`, scheduled alike.

    lr: learning rate of matrices, which the scheduler multiplies.
    momentum: μ, how much of v a step keeps.
    adam_lr: learning rate of gains and biases.
    beta1: Adam's, for gains and biases.
    beta2: Adam's, for gains and biases.
    eps: Adam's, for gains and biases.
    """

    def __init__(
        self,
        *,
        lr: float = 0.02,
        momentum: float = 0.95,
        adam_lr: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.95,
        eps: float = 1e-8,
    ):
        at_least(0, below=1, momentum=momentum, beta1=beta1, beta2=beta2)
        at_least(0, adam_lr=adam_lr, eps=eps)
        self.lr, self.momentum, self.adam_to_lr = lr, momentum, adam_lr / lr if lr else 0.0
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def init(self, w):
        return (w * 0.0,) if min(w.shape) > 1 else (w * 0.0, w * 0.0)

    def update(self, g, state, w, lr, step):
        if min(w.shape) == 1:
            return self.adam(g, state, w, lr * self.adam_to_lr, step)
        v = state[0] * self.momentum + g
        out, in_ = w.shape
        return w - orthogonalized(g + v * self.momentum) * (lr * max(1, out / in_) ** 0.5), (v,)

    def adam(self, g, state, w, lr, step):
        m = state[0] * self.beta1 + g * (1 - self.beta1)
        v = state[1] * self.beta2 + g * g * (1 - self.beta2)
        m_hat, v_hat = m / (1 - self.beta1 ** (step + 1)), v / (1 - self.beta2 ** (step + 1))
        return w - m_hat * lr / (sqrt(v_hat) + self.eps), (m, v)


def orthogonalized(x):
    """Nearly the orthogonal factor of x: singular values between about 0.7 and 1.2. x: (out, in)."""
    if x.shape[0] > x.shape[1]:
        return orthogonalized(x.T).T
    x = x / (sqrt((x * x).total()) + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = x * 3.4445 + (a * -4.7750 + (a @ a) * 2.0315) @ x
    return x


@hookimpl
def optimizers():
    return [Muon]
