from microgpt_lab import hookimpl
from microgpt_lab.ops import softplus, tanh


def mish(x):
    """x tanh(softplus(x)) (Misra, 2019)."""
    return x * tanh(softplus(x))


@hookimpl
def activations():
    return [mish]
