from microgpt_lab import at_least, hookimpl


class SGD:
    """w - lr g (Robbins & Monro, 1951).

    With `momentum` μ, v ← μ v + g replaces g (Polyak, 1964). With `nesterov`, g + μ v replaces it
    (Sutskever et al., 2013).

    lr: base learning rate, which the scheduler multiplies by its factor.
    momentum: μ, momentum factor (0: no momentum).
    nesterov: use Nesterov momentum.
    """

    elementwise = True

    def __init__(self, *, lr: float = 0.1, momentum: float = 0.0, nesterov: bool = False):
        at_least(0, below=1, momentum=momentum)
        if nesterov and not momentum:
            raise ValueError("nesterov=true needs a momentum, such as 0.9")
        self.lr, self.momentum, self.nesterov = lr, momentum, nesterov

    def init(self, w):
        return (w * 0.0,) if self.momentum else ()

    def update(self, g, state, w, lr, step):
        if not self.momentum:
            return w - g * lr, ()
        v = state[0] * self.momentum + g
        return w - (g + v * self.momentum if self.nesterov else v) * lr, (v,)


@hookimpl
def optimizers():
    return [SGD]
