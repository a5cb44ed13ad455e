from microgpt_lab import at_least, hookimpl
from microgpt_lab.ops import where


def leaky_relu(x, *, slope: float = 0.01):
    """x for x > 0, slope · x otherwise (Maas et al., 2013).

    slope: slope for x < 0.
    """
    at_least(0, slope=slope)
    return where(x > 0, x, x * slope)


@hookimpl
def activations():
    return [leaky_relu]
