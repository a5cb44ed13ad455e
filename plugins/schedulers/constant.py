from microgpt_lab import hookimpl
from microgpt_lab.core.warmup import linear_warmup


def constant(step, steps, *, warmup: float = 0.0):
    """1, after a linear warmup.

    warmup: fraction of the steps over which the factor rises to 1.
    """
    return linear_warmup(step, steps, warmup)[0]


@hookimpl
def schedulers():
    return [constant]
