from microgpt_lab import above, hookimpl
from microgpt_lab.core.warmup import linear_warmup


def exponential(step, steps, *, warmup: float = 0.0, final: float = 0.01):
    """From 1 to `final` by the same factor every step, after a warm-up.

    warmup: fraction of the steps over which it rises from 0 to 1.
    final: factor at the last step.
    """
    above(0, at_most=1, final=final)
    factor, progress = linear_warmup(step, steps, warmup)
    return factor * final**progress


@hookimpl
def schedulers():
    return [exponential]
