from microgpt_lab import above, hookimpl
from microgpt_lab.core.warmup import linear_warmup


def step_(step, steps, *, warmup: float = 0.0, every: float = 0.3, gamma: float = 0.1):
    """Multiply by `gamma` at regular intervals, after a linear warmup.

    warmup: fraction of the steps over which the factor rises to 1.
    every: fraction of the steps after the warmup between two drops.
    gamma: factor of each drop.
    """
    above(0, at_most=1, every=every, gamma=gamma)
    factor, progress = linear_warmup(step, steps, warmup)
    return factor * gamma ** int(progress / every)


@hookimpl
def schedulers():
    return [step_]
