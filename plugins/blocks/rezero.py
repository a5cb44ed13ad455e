from math import isfinite

from microgpt_lab import hookimpl


class ReZero:
    """x + a attention(x), then x + b mlp(x), with learned a and b and no norms (Bachlechner et al., 2020).

    start: initial value of a and b. With 0, the other weights of the block get no gradient in the first step.
    """

    def __init__(self, *, start: float = 0.0):
        if not isfinite(start):
            raise ValueError(f"start must be a finite number, not {start}")
        self.start = start

    def weights(self, gpt):
        return {"gain1": [[self.start]], "gain2": [[self.start]]}

    def __call__(self, x, attention, mlp, gain1, gain2):
        x = x + attention(x) * gain1
        return x + mlp(x) * gain2


@hookimpl
def blocks():
    return [ReZero]
