from microgpt_lab import hookimpl


def identity(x):
    """x, unchanged: an MLP without a nonlinearity."""
    return x


@hookimpl
def activations():
    return [identity]
