from microgpt_lab import hookimpl
from microgpt_lab.ops import relu


def relu2(x):
    """max(x, 0)² (Primer; So et al., 2021)."""
    return relu(x) ** 2


@hookimpl
def activations():
    return [relu2]
