from typing import Literal

from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import sqrt


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2017).

    w (1 - lr · weight_decay) - lr m̂ / (√v̂ + eps), with m̂ and v̂ as in Adam.

    lr: base learning rate, which the scheduler multiplies by its factor.
    beta1: decay rate of the moving average of g.
    beta2: decay rate of the moving average of g².
    eps: added to √v̂ to avoid division by 0.
    weight_decay: strength of the decay: each step multiplies the weights by 1 - lr · weight_decay.
    decay: which weights decay: all, or only those of linear layers and the output matrix, but no embeddings,
        gains and biases, as in minGPT (Karpathy, 2020).
    embedding_lr_mult: factor of lr for embeddings.
    head_lr_mult: factor of lr for the output matrix (tied to the token embedding, it is an embedding).
    scale_lr_mult: factor of lr for gains and biases.
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
        decay: Literal["all", "linear"] = "all",
        embedding_lr_mult: float = 1.0,
        head_lr_mult: float = 1.0,
        scale_lr_mult: float = 1.0,
    ):
        at_least(0, below=1, beta1=beta1, beta2=beta2)
        at_least(0, eps=eps, weight_decay=weight_decay)
        at_least(
            0, embedding_lr_mult=embedding_lr_mult, head_lr_mult=head_lr_mult, scale_lr_mult=scale_lr_mult
        )
        self.lr, self.beta1, self.beta2, self.eps, self.weight_decay = lr, beta1, beta2, eps, weight_decay
        self.undecayed = ("embedding", "scale") if decay == "linear" else ()
        self.lr_mult = {"embedding": embedding_lr_mult, "head": head_lr_mult, "scale": scale_lr_mult}
        self.roles = [role for role, mult in self.lr_mult.items() if mult != 1 or role in self.undecayed]

    def init(self, w):
        return w * 0.0, w * 0.0

    def update(self, g, state, w, lr, step, role):
        m = state[0] * self.beta1 + g * (1 - self.beta1)
        v = state[1] * self.beta2 + g * g * (1 - self.beta2)
        m_hat, v_hat = m / (1 - self.beta1 ** (step + 1)), v / (1 - self.beta2 ** (step + 1))
        lr = lr * self.lr_mult.get(role, 1.0)
        weight_decay = 0.0 if role in self.undecayed else self.weight_decay
        return w * (1 - lr * weight_decay) - m_hat * lr / (sqrt(v_hat) + self.eps), (m, v)


@hookimpl
def optimizers():
    return [AdamW]
