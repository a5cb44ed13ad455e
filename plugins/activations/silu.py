from microgpt_lab import hookimpl
from microgpt_lab.ops import sigmoid


def silu(x):
    """x sigmoid(x), also known as swish (Elfwing et al., 2017)."""
    return x * sigmoid(x)


@hookimpl
def activations():
    return [silu]
