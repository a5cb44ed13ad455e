from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import where


class MyPart:
    """w - lr sign(m), with m ← β m + (1 - β) g (Signum; Bernstein et al., 2018).

    lr: base learning rate, which the scheduler multiplies by its factor.
    beta: decay rate of the moving average m.
    """

    name = "my_part"  # on the command line
    elementwise = True  # treats each number by itself; remove it if it needs matrices

    # Parameters after * are options, optimizer.lr here, each with a type and a default.
    def __init__(self, *, lr: float = 0.002, beta: float = 0.9):
        at_least(0, below=1, beta=beta)  # other values are refused in one line
        self.lr, self.beta = lr, beta

    # The state before the first step: tensors in tuples.
    def init(self, w):
        return (w * 0.0,)

    # The formula: new weights and state, of the gradient g. step counts from 0. With an
    # argument `role`, it learns what a weight is for: "embedding", "hidden", …
    def update(self, g, state, w, lr, step):
        (m,) = state
        m = m * self.beta + g * (1 - self.beta)
        sign = where(m > 0, 1.0, where(m < 0, -1.0, 0.0))
        return w - sign * lr, (m,)


@hookimpl
def optimizers():
    return [MyPart]
