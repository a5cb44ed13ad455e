from microgpt_lab import hookimpl
from microgpt_lab.core.warmup import linear_warmup


def constant(step, steps, *, warmup: float = 0.0):
    """1, after a warm-up over this fraction of the steps.

    warmup: fraction of the steps over which it rises from 0 to 1.
    """
    return linear_warmup(step, steps, warmup)[0]


@hookimpl
def schedulers():
    return [constant]
