from microgpt_lab import above, at_least, hookimpl
from microgpt_lab.ops import sqrt


class Muon:
    """Orthogonalized momentum for the matrices of hidden layers, AdamW for all others (Jordan et al., 2024).

    w (1 - lr · weight_decay) - lr √max(1, out / in) U Vᵀ, where v ← μ v + g, u = g + μ v, and u = U S Vᵀ is
    its singular value decomposition. Five rounds of the quintic Newton-Schulz iteration approximate U Vᵀ.
    Embeddings, the output matrix, gains, biases, and matrices of a single row or column take AdamW's step
    with `adam_lr`, on the same schedule.

    lr: base learning rate of hidden layers, which the scheduler multiplies by its factor.
    momentum: μ, momentum factor.
    weight_decay: strength of the decay: each step multiplies the weights by 1 - lr · weight_decay,
        or 1 - adam_lr · weight_decay.
    adam_lr: base learning rate of AdamW's steps.
    beta1: AdamW's beta1.
    beta2: AdamW's beta2.
    eps: AdamW's eps.
    """

    def __init__(
        self,
        *,
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        adam_lr: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.95,
        eps: float = 1e-8,
    ):
        above(0, lr=lr)  # the steps of AdamW are scaled by adam_lr / lr
        at_least(0, below=1, momentum=momentum, beta1=beta1, beta2=beta2)
        at_least(0, weight_decay=weight_decay, adam_lr=adam_lr, eps=eps)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.adam_lr, self.beta1, self.beta2, self.eps = adam_lr, beta1, beta2, eps

    def init(self, w, role):
        return (w * 0.0,) if orthogonalizes(w, role) else (w * 0.0, w * 0.0)

    def update(self, g, state, w, lr, step, role):
        if not orthogonalizes(w, role):
            return self.adamw(g, state, w, lr * (self.adam_lr / self.lr), step)
        v = state[0] * self.momentum + g
        out, in_ = w.shape
        u = orthogonalized(g + v * self.momentum) * max(1, out / in_) ** 0.5
        return w * (1 - lr * self.weight_decay) - u * lr, (v,)

    def adamw(self, g, state, w, lr, step):
        m = state[0] * self.beta1 + g * (1 - self.beta1)
        v = state[1] * self.beta2 + g * g * (1 - self.beta2)
        m_hat, v_hat = m / (1 - self.beta1 ** (step + 1)), v / (1 - self.beta2 ** (step + 1))
        return w * (1 - lr * self.weight_decay) - m_hat * lr / (sqrt(v_hat) + self.eps), (m, v)


def orthogonalizes(w, role):
    return role in ("hidden", "residual") and min(w.shape) > 1


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
