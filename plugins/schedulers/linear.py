from microgpt_lab import between, hookimpl
from microgpt_lab.core.warmup import linear_warmup


def linear(step, steps, *, warmup: float = 0.0, final: float = 0.0):
    """From 1 to `final` in a straight line, after a warm-up over this fraction of the steps.

    warmup: fraction of the steps over which it rises from 0 to 1.
    final: factor at the last step.
    """
    between(0, 1, final=final)
    factor, progress = linear_warmup(step, steps, warmup)
    return factor * (1 - (1 - final) * progress)


@hookimpl
def schedulers():
    return [linear]
