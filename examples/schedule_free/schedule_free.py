from microgpt_lab import above, at_least, hookimpl
from microgpt_lab.ops import sqrt, where


class ScheduleFree:
    """Schedule-Free AdamW: the average x of Adam's z, gradients at y between them (Defazio et al., 2024).

    y = (1 - beta1) z + beta1 x. The run keeps and evaluates x. Choose scheduler=constant, perhaps with
    scheduler.warmup.

    lr: learning rate γ of z, which the scheduler multiplies by its factor; its square weighs the average.
    beta1: how near to x the gradient is taken; 0 is at z, 1 at x.
    beta2: decay rate of the moving average of g².
    eps: added to the root of this average to avoid division by 0.
    weight_decay: strength λ of the decay: each step moves z by -γ λ y.
    """

    name = "schedule_free"
    elementwise = True

    def __init__(
        self,
        *,
        lr: float = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        at_least(0, below=1, beta1=beta1, beta2=beta2)
        above(0, eps=eps)
        at_least(0, weight_decay=weight_decay)
        self.lr, self.beta1, self.beta2, self.eps, self.weight_decay = lr, beta1, beta2, eps, weight_decay

    def init(self, w):
        return w, w * 0.0, w.total() * 0.0  # z, v, and the sum of all γ²

    def gradient_at(self, w, state):
        z, *_ = state
        return z * (1 - self.beta1) + w * self.beta1

    def update(self, g, state, w, lr, step):
        z, v, total = state
        y = self.gradient_at(w, state)
        lr = lr * (1 - self.beta2 ** (step + 1)) ** 0.5  # with Adam's correction of v, as in the paper
        v = v * self.beta2 + g * g * (1 - self.beta2)
        z = z - (g / (sqrt(v) + self.eps) + y * self.weight_decay) * lr
        total = total + lr * lr
        share = where(total > 0, lr * lr / total, 0.0)  # lr is 0 where a schedule begins there
        return w * (1 - share) + z * share, (z, v, total)


MICROGPT_LAB_HOOKS = 6  # of microgpt_lab's versions


@hookimpl
def optimizers():
    return [ScheduleFree]
