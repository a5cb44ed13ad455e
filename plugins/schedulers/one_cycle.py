import math

from microgpt_lab import between, hookimpl


def one_cycle(step, steps, *, peak: float = 0.3, start: float = 0.04, final: float = 0.0001):
    """Rise from `start` to 1, then decay to `final`, each along half a cosine (Smith, 2018).

    peak: fraction of the steps after which the factor is 1.
    start: factor at the first step.
    final: factor at the end of the training.
    """
    between(0, 1, peak=peak, start=start, final=final)
    progress = step / steps
    if progress < peak:
        return start + (1 - start) * (1 - math.cos(math.pi * progress / peak)) / 2
    return final + (1 - final) * (1 + math.cos(math.pi * (progress - peak) / (1 - peak))) / 2


@hookimpl
def schedulers():
    return [one_cycle]
