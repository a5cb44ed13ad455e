from microgpt_lab import hookimpl


def identity(x):
    """x: what is left of an MLP without a nonlinearity."""
    return x


@hookimpl
def activations():
    return [identity]
