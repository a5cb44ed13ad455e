from microgpt_lab import hookimpl, ops


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return ops.sigmoid(x)


@hookimpl
def activations():
    return [sigmoid]
