from microgpt_lab import between, hookimpl
from microgpt_lab.core.warmup import linear_warmup


def linear(step, steps, *, warmup: float = 0.0, final: float = 0.0):
    """Decay from 1 to `final` in a straight line, after a linear warmup.

    warmup: fraction of the steps over which the factor rises to 1.
    final: factor at the end of the training.
    """
    between(0, 1, final=final)
    factor, progress = linear_warmup(step, steps, warmup)
    return factor * (1 - (1 - final) * progress)


@hookimpl
def schedulers():
    return [linear]
