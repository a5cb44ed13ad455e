from microgpt_lab import hookimpl, ops


def softplus(x):
    """log(1 + exp(x)), a smooth ReLU (Dugas et al., 2001)."""
    return ops.softplus(x)


@hookimpl
def activations():
    return [softplus]
