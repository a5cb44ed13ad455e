from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import exp, where


def elu(x, *, alpha: float = 1.0):
    """x above 0, alpha (exp(x) - 1) below (Clevert et al., 2015).

    alpha: minus the limit for x far below 0.
    """
    at_least(0, alpha=alpha)
    below = where(x > 0, x * 0.0, x)  # keeps exp from overflowing where it is not used
    return where(x > 0, x, (exp(below) - 1) * alpha)


@hookimpl
def activations():
    return [elu]
