from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sqrt


class Muon:
    """Orthogonalized momentum for matrices, Adam for gains and biases (Jordan et al., 2024).

    w - lr √max(1, out / in) U Vᵀ, where v ← μ v + g, u = g + μ v, and u = U S Vᵀ is its singular value
    decomposition. Five rounds of the quintic Newton-Schulz iteration approximate U Vᵀ. Weights with a
    single row or column (gains, biases) take Adam's step with `adam_lr`, on the same schedule.

    lr: base learning rate of matrices, which the scheduler multiplies by its factor.
    momentum: μ, momentum factor.
    adam_lr: base learning rate of gains and biases, on the same schedule.
    beta1: Adam's beta1, for gains and biases.
    beta2: Adam's beta2, for gains and biases.
    eps: Adam's eps, for gains and biases.
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
    """Approximate U Vᵀ of x = U S Vᵀ: all singular values become about 0.7 to 1.2. x: (out, in)."""
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
