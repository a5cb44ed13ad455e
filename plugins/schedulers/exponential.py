from microgpt_lab import above, hookimpl
from microgpt_lab.core.warmup import linear_warmup


def exponential(step, steps, *, warmup: float = 0.0, final: float = 0.01):
    """Decay from 1 to `final` by the same factor at each step, after a linear warmup.

    warmup: fraction of the steps over which the factor rises to 1.
    final: factor at the end of the training.
    """
    above(0, at_most=1, final=final)
    factor, progress = linear_warmup(step, steps, warmup)
    return factor * final**progress


@hookimpl
def schedulers():
    return [exponential]
