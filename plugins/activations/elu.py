from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import exp, where


def elu(x, *, alpha: float = 1.0):
    """x for x > 0, alpha (exp(x) - 1) otherwise (Clevert et al., 2015).

    alpha: the output approaches -alpha for very negative x.
    """
    at_least(0, alpha=alpha)
    negative = where(x > 0, x * 0.0, x)  # so that exp does not overflow where its result is not used
    return where(x > 0, x, (exp(negative) - 1) * alpha)


@hookimpl
def activations():
    return [elu]
