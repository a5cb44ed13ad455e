from microgpt_lab import hookimpl, ops


def relu(x):
    """max(x, 0) (Fukushima, 1969; Nair & Hinton, 2010)."""
    return ops.relu(x)


@hookimpl
def activations():
    return [relu]
