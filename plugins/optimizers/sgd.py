from microgpt_lab import at_least, hookimpl


class SGD:
    """w - lr g (Robbins & Monro, 1951).

    With `momentum` μ, v ← μ v + g takes the place of g (Polyak, 1964); `nesterov` takes g + μ v
    (Sutskever et al., 2013).

    lr: learning rate, which the scheduler multiplies.
    momentum: μ, how much of v a step keeps (0: none).
    nesterov: look ahead along the momentum.
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
