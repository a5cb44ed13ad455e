from microgpt_lab import hookimpl
from microgpt_lab import ops


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return ops.sigmoid(x)


@hookimpl
def activations():
    return [sigmoid]
